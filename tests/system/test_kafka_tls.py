"""Brokers that want TLS, a certificate or a password: each way in works, each refusal is told and waited for, no secret is shown."""

import json
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka
import pytest

import brokers
import certificates
import events
from engine import run, until
from test_sink_trouble import SOURCE, require_well

pytestmark = pytest.mark.real_kafka
PLAIN, SCRAM, WRONG, KEY = "open-sesame-plain", "open-sesame-scram", "open-sesame-wrong", "open-sesame-key"
# Older ones cannot log in by SCRAM at brokers of Kafka 4 (https://github.com/confluentinc/librdkafka/pull/4895).
SCRAM_WORKS = confluent_kafka.libversion()[1] >= 0x020601ff


@pytest.fixture(scope="module")
def sealed(clusters, trusted):
    if not clusters.get(0).real:
        pytest.skip(f"needs a real Kafka: {clusters.why}")
    cluster = brokers.Sealed(trusted, {"plain": PLAIN})
    cluster.password("scram", SCRAM)
    yield cluster
    cluster.close()


def secret(folder, name, text):
    path = folder / name
    path.write_text(text + "\n")
    return {"file": str(path)}


def with_pair(pair):
    return {"ssl.certificate.location": str(pair[0]), "ssl.key.location": str(pair[1])}


def user(mechanism, name, password):
    return {"sasl.mechanism": mechanism, "sasl.username": name, "sasl.password": password}


def locked(pair):
    """The same pair, the key under a password."""
    key = pair[1].with_suffix(".locked")
    certificates.openssl("pkcs8", "-topk8", "-in", pair[1], "-out", key, "-passout", f"pass:{KEY}")
    return pair[0], key


def test_source_sink_and_errors_each_have_a_way_in_of_their_own(job, stub, sealed, trusted, tmp_path, seed):
    """A password, a certificate under a password, TLS alone; and none of the secrets is shown to anybody."""
    maker = events.Maker(seed, pages=10)
    mechanism, name, password = ("SCRAM-SHA-512", "scram", SCRAM) if SCRAM_WORKS else ("PLAIN", "plain", PLAIN)
    j = job(partitions=2, cluster=sealed, sink=sealed, change={
        "source": {"kafka": {**sealed.by("login", **user(mechanism, name, secret(tmp_path, "password", password))),
                             "debug": "security,conf"}},
        "sink": {"kafka": {**sealed.by("mutual", **with_pair(locked(trusted.pair("mill")))),
                           "ssl.key.password": secret(tmp_path, "key-password", KEY)}},
        "errors": {"kafka": sealed.by("tls")},
        "admin": {"token": secret(tmp_path, "token", "open-sesame-token")},
        "log": {"level": "debug", "format": "text"}})
    j.send([*maker.mixed(80), events.Event(value=b"this is not JSON", key=b"k", outcome="failed", error="PoisonEvent")])
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()
    assert j.failures() and "sasl.password = [redacted]" in j.stderr()
    shown = [j.stderr(), *(j.get(path)[1] for path in ("/", "/metrics", "/api/v1/status", "/api/v1/inspect")),
             *(message.value().decode(errors="replace") for message in j.failures())]
    listed = run("errors", "list", "-c", j.path, check=0).stdout.decode()
    planned = run("offsets", "plan", "-c", j.path, check=0).stdout.decode()
    assert "PoisonEvent" in listed and j.source_topic in planned, listed + planned
    shown += [listed, planned, run("config", "show", "-c", j.path, check=0).stdout.decode(), *connected(j)[1:]]
    assert f"ok source: topic {j.source_topic} is there" in shown[-1]
    for text in shown:
        assert "open-sesame" not in text, text[text.index("open-sesame") - 300:][:400]


@pytest.mark.skipif(SCRAM_WORKS, reason="librdkafka can log in by SCRAM")
def test_a_librdkafka_that_cannot_log_in_by_scram_says_so(job, stub, sealed):
    j = until_there(job(partitions=1, cluster=sealed, sink=sealed))
    j.config["source"]["kafka"] = sealed.by("login", **user("SCRAM-SHA-512", "scram", SCRAM))
    code, said = connected(j)
    assert code == 69 and "cannot log in by SCRAM at brokers of Kafka 4.0 or newer" in said, said


def until_there(j):
    """The broker knows the job's topics, which its controller has just made."""
    wanted = {j.source_topic, j.sink_topic, j.error_topic}
    until("the topics are there", lambda: wanted <= j.cluster.topics())
    return j


def connected(j):
    path = j.folder / "connected.yaml"
    path.write_text(json.dumps(j.config))
    result = run("check", "--connect", path)
    return result.returncode, (result.stdout + result.stderr).decode()


def test_what_does_not_fit_is_told_with_the_property_that_may_mend_it(job, stub, sealed, trusted, stranger):
    j = until_there(job(partitions=1, cluster=sealed, sink=sealed))
    sealed.renew("tls", trusted.bundle("broker-tls", expired=True))
    wrong = {
        "a strange authority": (sealed.by("mutual", **with_pair(trusted.pair("mill")), **{"ssl.ca.location": str(stranger.file)}),
                                "comes from an authority that is not trusted: ssl.ca.location is to be the file"),
        "another host": (sealed.by("other"), "is for another host: bootstrap.servers, and the brokers' advertised.listeners"),
        "expired": (sealed.by("tls"), "has expired: it is to be renewed on the broker"),
        "no client certificate": (sealed.by("mutual"), "ssl.certificate.location and ssl.key.location are to be files of an authority"),
        "a strange client": (sealed.by("mutual", **with_pair(stranger.pair("nobody"))),
                             "ssl.certificate.location and ssl.key.location are to be files of an authority"),
        "a wrong password": (sealed.by("login", **user("PLAIN", "plain", WRONG)),
                             "check sasl.mechanism, sasl.username and sasl.password"),
        "a wrong mechanism": (sealed.by("login", **user("SCRAM-SHA-256", "scram", WRONG)),
                              "check sasl.mechanism, sasl.username and sasl.password"),
        "TLS to a plain port": ({**sealed.by("tls"), "bootstrap.servers": sealed.bootstrap}, "is it a port for TLS?"),
        "no TLS to a port for it": ({**sealed.by("tls"), "security.protocol": "plaintext"}, "is security.protocol what they speak?"),
        "no password where one is wanted": ({**sealed.by("login"), "security.protocol": "ssl"}, "is security.protocol what they speak?"),
    }
    try:
        def check(item):
            name, (properties, _) = item
            path = j.folder / f"{name.replace(' ', '-')}.yaml"
            source = {**j.config["source"], "kafka": properties}
            path.write_text(json.dumps({**j.config, "source": source}))
            result = run("check", "--connect", path)
            return result.returncode, (result.stdout + result.stderr).decode()
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(check, wrong.items()))
    finally:
        sealed.renew("tls", sealed.stores["tls"])
    for (name, (_, told)), (code, said) in zip(wrong.items(), answers):
        lines = [line for line in said.splitlines() if line.startswith("unreachable: source: brokers")]
        assert code == 69 and len(lines) == 1 and told in lines[0], f"{name}: {code}\n{said}"
        assert f"ok sink sink: topic {j.sink_topic} is there" in said and "open-sesame" not in said, f"{name}: {said}"


def test_a_verification_that_is_switched_off_is_warned_of(job, stub, sealed, stranger):
    j = until_there(job(partitions=1, cluster=sealed, sink=sealed))
    for switched, told in (({"enable.ssl.certificate.verification": "false"}, "certificates are not looked at"),
                           ({"ssl.endpoint.identification.algorithm": "none"}, "is taken for any host")):
        j.config["sink"]["kafka"] = sealed.by("tls", **switched)
        code, said = connected(j)
        assert code == 0 and "warning[M131]" in said and told in said, said


def test_trust_that_is_lost_and_found_again_costs_nothing(job, stub, sealed, trusted, stranger, seed):
    """The brokers come back with an expired certificate at one door, and trust other clients at the other; both are mended while they
    run, and Millrace goes on by itself."""
    maker = events.Maker(seed, pages=20)
    j = job(partitions=2, cluster=sealed, sink=sealed, change={
        **SOURCE, "source": {"kafka": {**SOURCE["source"]["kafka"], **sealed.by("tls")}},
        "sink": {"kafka": sealed.by("mutual", **with_pair(trusted.pair("mill")))},
        "errors": {"kafka": sealed.by("mutual", **with_pair(trusted.pair("mill")))}, "limits": {"records": 50}})
    j.send(maker.mixed(100))
    j.start()
    j.until_outputs(50)
    sealed.renew("tls", trusted.bundle("broker-tls", expired=True))
    sealed.clients = stranger
    sealed.stop()
    sealed.start()
    try:
        j.send(maker.mixed(100))
        until("it says why", lambda: "has expired: it is to be renewed on the broker" in j.stderr(), story=j.story)
        stood = j.metrics().sum("millrace_paused_seconds_total")
        j.until("it stands still", lambda m: m.sum("millrace_paused_seconds_total") > stood + 1)
        require_well(j)
    finally:
        sealed.clients = trusted
        sealed.renew("tls", sealed.stores["tls"])
        sealed.trust("mutual", trusted)
    j.until_done()
    j.require_clean(repeats=True)
    j.require_balance()
    assert j.lives == 1
    require_well(j)
