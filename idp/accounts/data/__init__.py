"""Data that ships with the accounts: the most used passwords, and the script that packed them."""
