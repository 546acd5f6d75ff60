"""Takes TLS off what comes, and hands it on to a server of this machine.

    tls.py PORT CERTIFICATE KEY

Listens on a free port of 127.0.0.1 and prints it.
"""
import socket
import socketserver
import ssl
import sys
import threading

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(sys.argv[2], sys.argv[3])


def hand_on(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            client = CONTEXT.wrap_socket(self.request, server_side=True)
        except (ssl.SSLError, OSError):
            return  # It does not trust the certificate.
        server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        up = threading.Thread(target=hand_on, args=(client, server), daemon=True)
        up.start()
        while data := server.recv(65536):
            client.sendall(data)
        client.close()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
