"""One file for each kind of work; `run(folder, pace)` yields the lines it adds to the document."""
