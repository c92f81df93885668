"""HTTP as the gateway speaks it: uvicorn on httptools, refusing what two servers could read differently."""
