"""Certificates of a private authority, made by openssl when tests begin, and a door that speaks TLS in front of a plain server."""

import socket
import ssl
import subprocess
import threading


def openssl(*arguments, **options):
    result = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=60, **options)
    assert result.returncode == 0, f"openssl {arguments}: {result.stdout}"
    return result.stdout


class Authority:
    """`file` is what others trust; pair() and bundle() are what it vouches for."""

    def __init__(self, folder, name="mill-ca"):
        self.folder, self.file, self.key = folder, folder / f"{name}.pem", folder / f"{name}.key"
        folder.mkdir(parents=True, exist_ok=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2, "-subj",
                f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.file)
        (folder / "index").touch()

    def pair(self, name, host="localhost", expired=False):
        """(certificate, key): of a server with that host, or of a client; an expired one ended a year ago."""
        stem = f"{name}-expired" if expired else name
        certificate, key, request = (self.folder / f"{stem}.{ending}" for ending in ("pem", "key", "csr"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                "-out", request)
        config = self.folder / f"{name}.cnf"
        config.write_text(f"[ca]\ndefault_ca=it\n[it]\ndatabase={self.folder}/index\nrand_serial=yes\nnew_certs_dir={self.folder}\n"
                          f"unique_subject=no\ndefault_md=sha256\npolicy=any\nemail_in_dn=no\nx509_extensions=more\n"
                          f"[any]\ncommonName=supplied\n[more]\nsubjectAltName=DNS:{host}\n")
        dates = ("-startdate", "20230101000000Z", "-enddate", "20240101000000Z") if expired else ("-days", 2)
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.file, "-keyfile", self.key, "-in", request, "-out",
                certificate, *dates)
        return certificate, key

    def bundle(self, name, **options):
        """Both in one file, as Kafka's brokers want them."""
        certificate, key = self.pair(name, **options)
        both = certificate.with_suffix(".both")
        both.write_text(key.read_text() + certificate.read_text())
        return both


class Door:
    """TLS on a port of its own, each connection passed on to a port without; what it shows can be changed at any time.

    `names` are the hosts that were asked for (SNI), `clients` the names in the client certificates."""

    def __init__(self, port, pair, clients_of=None, rude=False):
        self.rude = rude  # closes at once, so that nobody reads why
        self.behind, self.names, self.clients, self.lock = port, [], [], threading.Lock()
        self.show(pair, clients_of)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def show(self, pair, clients_of=None):
        """From the next connection on; clients_of is the authority whose clients alone are let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        context.num_tickets = 0  # nobody comes in by what was true before
        context.sni_callback = lambda _, name, __: self.names.append(name)
        if clients_of:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients_of.file)
        self.context = context

    def hang_up(self):
        """Closes what is open, so that what comes is new."""
        with self.lock:
            for connection in self.open:
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
        self.hang_up()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, self.context), daemon=True).start()

    def _serve(self, connection, context):
        connection.settimeout(60)
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as inside:
            try:
                inside.do_handshake()
            except OSError:  # the other side was told why
                if not self.rude:
                    linger(inside)
                return
            with socket.create_connection(("127.0.0.1", self.behind)) as outside:
                self._pass_on(inside, outside)

    def _pass_on(self, inside, outside):
        shown = inside.getpeercert()
        if shown:
            self.clients.append(dict(part[0] for part in shown["subject"])["commonName"])
        with self.lock:
            self.open.add(outside)
        back = threading.Thread(target=copy, args=(outside, inside), daemon=True)
        back.start()
        copy(inside, outside)
        back.join()
        with self.lock:
            self.open.discard(outside)


def copy(source, target):
    """Until one of them ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def linger(connection):
    """A refusal reaches the other side for sure only when nothing of its own is left unread."""
    try:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    except OSError:
        pass
