import socket, time, threading
import pytest
from tests.gateway.raw import Client, request
from tests.gateway.conftest import config_text

def test_second_answer_overwrites(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    assert proxy.ask(request(token=token)).status == 404

def test_partial_poison(proxy, upstream, token):
    first=[True]
    def script(c, seen):
        if first[0]:
            first[0]=False
            c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nset-cookie: evil=1\r\ncontent-length: 4\r\nx-a: ")
        else:
            c.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno")
        return True
    upstream.script=script
    assert proxy.ask(request(token=token)).status==200
    a=proxy.ask(request(token=token))
    assert (a.status,a.header("set-cookie"))==(404,None),(a)

def test_204_length(proxy, upstream, token):
    upstream.answer=b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"
    a=proxy.ask(request(token=token))
    assert a.status==204 and a.header("content-length") is None

def test_10_100(proxy, upstream, token):
    with Client(proxy.address) as c:
        c.send(f"POST /orders/7 HTTP/1.0\r\nHost: api.example\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode())
        time.sleep(0.2); c.send(b"hi")
        assert c.answer().status==200

@pytest.mark.parametrize("size",[150_000, 200_000,230_000,260_000, 300_000])
def test_paused_pool(serve, issuer, upstream, token, size):
    big=[True]
    proxy=serve(config_text(issuer, upstream))
    def script(c, seen):
        if big[0]:
            big[0]=False
            # fill the client's buffers first
            c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"%(20_000_000+size))
            sent=0
            blob=b"x"*1_000_000
            while sent<20_000_000:
                c.sendall(blob); sent+=len(blob)
            c.sendall(b"y"*size)
        else:
            c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        return True
    upstream.script=script
    c=Client(proxy.address)
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.send(request(token=token))
    # read slowly until only tail remains
    got=0
    while got<20_000_000:
        got+=len(c.socket.recv(65536))
    time.sleep(0.5)
    c.socket.close()
    time.sleep(0.3)
    print([ (x._read_paused,x.idle,x.complete) for p in proxy.server._pools for x in p.connections])
    with Client(proxy.address, timeout=3) as d:
        d.send(request(token=token))
        assert d.answer().status==200
