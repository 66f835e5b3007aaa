"""HTTP by TLS: who is trusted, who is let in, what is told when something does not fit, and what is read again."""

import json
import ssl

import pytest

import certificates
import events
import repository
from engine import run
from test_streams import StreamConfig, by_stream


@pytest.fixture
def doors():
    """Makes doors: doors(port, pair, clients_of=None); all of them are closed after the test."""
    opened = []

    def make(*arguments, **options):
        opened.append(certificates.Door(*arguments, **options))
        return opened[-1]

    yield make
    for door in opened:
        door.close()


def port_of(stub):
    return int(stub.url.split(":")[2].split("/")[0])


def files(ca=None, pair=(None, None)):
    """The section `tls`."""
    named = {"ca": ca and ca.file, "cert": pair[0], "key": pair[1]}
    return {name: str(path) for name, path in named.items() if path}


def upstream(j, door, tls):
    """The API is behind the door, and the job comes with these files."""
    j.config["http"]["upstreams"]["mediawiki"].update(url=f"{door.url}/w/api.php", tls=tls)


def asked_once(j, record):
    """(exit code, what it said) of one event that asks the API once."""
    j.config["http"]["retry"] = {"attempts": 1}
    j.write_config()
    line = json.dumps(json.loads(record.value))  # on one line
    result = run("enrich", "-c", j.path, stdin=line.encode() + b"\n")
    return result.returncode, result.stderr.decode()


def connected(j):
    j.write_config()
    result = run("check", "--connect", "--schemas", j.path)
    return result.returncode, (result.stdout + result.stderr).decode()


def test_an_api_by_tls_is_verified_and_what_does_not_fit_is_told(job, stub, doors, trusted, stranger, seed):
    record = events.Maker(seed, pages=1).event()
    j = job(partitions=1)
    server, client = trusted.pair("server"), trusted.pair("client")
    keys = "http.upstreams.mediawiki.tls"
    for name, shown, clients_of, tls, told in (
            ("good", server, None, files(trusted), None),
            ("good, with a client certificate", server, trusted, files(trusted, client), None),
            ("an authority that is not trusted", stranger.pair("impostor"), None, files(trusted),
             f"an authority that is not trusted: {keys}.ca is to be the file with that authority's certificate, and is {trusted.file}"),
            ("no authority given", server, None, files(),
             f"{keys}.ca is to be the file with that authority's certificate, and is not set (the system's)"),
            ("another host's certificate", trusted.pair("other", host="elsewhere.example"), None, files(trusted),
             "its certificate is for another name"),
            ("an expired one", trusted.pair("old", expired=True), None, files(trusted),
             "its certificate has expired: it is to be renewed there"),
            ("no client certificate", server, trusted, files(trusted),
             "it wants a client certificate (alert certificate required"),
            ("a client that is not trusted", server, trusted, files(trusted, stranger.pair("nobody")),
             "it refuses the client certificate (alert unknown ca"),
            ("an expired client", server, trusted, files(trusted, trusted.pair("past", expired=True)),
             "it refuses the client certificate (alert certificate expired"),
            ("a key of another certificate", server, trusted, files(trusted, (client[0], server[1])),
             f"{keys}.cert ({client[0]}) and {keys}.key ({server[1]}) are to be PEM files that belong together"),
            ("no certificates in the file", server, None, {"ca": str(client[1])}, f"{keys}.ca ({client[1]}) cannot be read")):
        door = doors(port_of(stub), shown, clients_of)
        upstream(j, door, tls)
        code, said = asked_once(j, record)
        check, connect = connected(j)
        if told is None:
            assert (code, check) == (0, 0), f"{name}: {said}\n{connect}"
            assert "ok upstream mediawiki can be reached" in connect, connect
            assert set(door.clients) == ({"client"} if clients_of else set())
        else:
            assert code == 1 and told in said, f"{name}: {code} {said}"
            assert check == 69 and told in connect, f"{name}: {check} {connect}"


def test_the_name_in_the_address_is_verified_whatever_host_is_asked_for(job, stub, doors, trusted, seed):
    """A proxy is one address for many wikis: it is verified by its own name, and told the wiki in the Host header alone."""
    record = events.Maker(seed, pages=1).event()
    j = job(partitions=1)
    door = doors(port_of(stub), trusted.pair("proxy"))
    upstream(j, door, files(trusted))
    code, said = asked_once(j, record)
    assert code == 0, said
    assert set(door.names) == {"localhost"}
    assert record.host != "localhost" and [r["host"] for r in stub.requests()] == [record.host]


def test_a_door_that_is_shut_without_a_word_may_want_a_certificate(job, stub, doors, trusted, seed):
    record = events.Maker(seed, pages=1).event()
    j = job(partitions=1)
    door = doors(port_of(stub), trusted.pair("server"), trusted, rude=True)
    upstream(j, door, files(trusted))
    code, said = asked_once(j, record)
    assert code == 1 and "wants a client certificate" in said and "http.upstreams.mediawiki.tls.cert" in said, said


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_plain_http_and_old_tls_are_told_apart_from_certificates(job, stub, doors, trusted, seed):
    record = events.Maker(seed, pages=1).event()
    j = job(partitions=1)
    old = doors(port_of(stub), trusted.pair("server"))
    old.context.set_ciphers("DEFAULT@SECLEVEL=0")
    old.context.minimum_version, old.context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    plain = repository.Server()
    try:
        for url in (old.url, f"https://localhost:{plain.port}"):
            j.config["http"]["upstreams"]["mediawiki"].update(url=url, tls=files(trusted))
            code, said = asked_once(j, record)
            assert code == 1 and "is it a port for https, and does it speak TLS 1.2 or newer?" in said, said
    finally:
        plain.close()


def test_a_certificate_is_renewed_on_either_side_without_a_restart(job, stub, cluster, doors, trusted, stranger, tmp_path, seed):
    """The API's certificate runs out: it pauses. The authority is another one from then on, then the client's certificate, too."""
    maker = events.Maker(seed, pages=20)
    own = tmp_path / "own"
    own.mkdir()
    ca, cert, key = (own / name for name in ("ca.pem", "client.pem", "client.key"))

    def take(authority, pair):
        for target, source in ((ca, authority.file), (cert, pair[0]), (key, pair[1])):
            draft = target.with_suffix(".new")
            draft.write_bytes(source.read_bytes())
            draft.rename(target)

    take(trusted, trusted.pair("first"))
    door = doors(port_of(stub), trusted.pair("renewed"), trusted)
    j = job(partitions=1, change={"http": {"retry": {"attempts": 100}, "upstreams": {"mediawiki": {
        "url": f"{door.url}/w/api.php", "tls": {"ca": str(ca), "cert": str(cert), "key": str(key)}}}}})
    j.send([maker.event() for _ in range(10)])
    j.start()
    j.until_done()
    assert set(door.clients) == {"first"}

    door.show(trusted.pair("late", expired=True), trusted)
    door.hang_up()
    j.send([maker.event() for _ in range(60)])
    j.until("it pauses", lambda m: m.value("millrace_http_circuit_state", upstream="mediawiki", state="open") == 1)
    assert j.get("/livez")[0] == j.get("/readyz")[0] == 200
    assert "its certificate has expired" in j.stderr()
    door.show(trusted.pair("good-again"), trusted)
    j.until_done()

    door.show(stranger.pair("of-another"), stranger)
    take(stranger, stranger.pair("second"))
    door.hang_up()
    j.send([maker.event() for _ in range(5)])  # too few for the breaker
    j.until_done()
    assert set(door.clients) == {"first", "second"}
    j.require_clean()


def test_schemas_and_streams_come_by_tls_and_what_does_not_fit_is_told(job, stub, cluster, doors, trusted, stranger, seed):
    server, pair = trusted.pair("repository"), trusted.pair("reader")
    schemas, api = repository.Server(repository.page_change("1.2.0")), StreamConfig()
    try:
        schema_door, stream_door = doors(schemas.port, server, trusted), doors(api.port, server, trusted)
        j = job(partitions=1)
        by_stream(api, j)
        j.config.pop("routes", None)
        j.config["streams"].update(config_uri=f"{stream_door.url}/w/api.php", tls=files(trusted, pair))
        j.config["schemas"] = {"uris": [f"{schema_door.url}/repositories/primary"], "tls": files(trusted, pair), "output": "off"}
        code, said = connected(j)
        assert f"ok schema repository {schema_door.url}/repositories/primary answers" in said, said
        assert "streams.config_uri" not in said and set(schema_door.clients) == set(stream_door.clients) == {"reader"}, said
        for section in ("schemas", "streams"):
            for tls, told in ((files(stranger, pair), f"{section}.tls.ca is to be the file with that authority's certificate"),
                              (files(trusted), f"set {section}.tls.cert and {section}.tls.key")):
                good, j.config[section]["tls"] = j.config[section]["tls"], tls
                code, said = connected(j)
                j.config[section]["tls"] = good
                assert told in said, said
                assert code == (69 if section == "schemas" else 0), said  # the names by convention stand in for the API
    finally:
        schemas.close()
        api.close()
