"""The same two topics in every format, character by character."""

import json
from collections.abc import Callable
from operator import itemgetter

import pytest

from kops.columns import Column, View
from kops.render import text
from kops.render.output import Output
from tests.kops.conftest import FakeSession, Said

Kops = Callable[..., Said]
Pair = tuple[str, int | None]
pytestmark = pytest.mark.usefixtures("cluster")

LIST = {
    "table": "TOPIC\tPARTITIONS\tREPLICAS\tUNDER-REPLICATED\tINTERNAL\n"
    "__consumer_offsets\t1\t1\t0\tyes\n"
    "orders\t2\t2\t1\t-\n",
    "wide": "TOPIC\tPARTITIONS\tREPLICAS\tUNDER-REPLICATED\tINTERNAL\tID\n"
    "__consumer_offsets\t1\t1\t0\tyes\t-\n"
    "orders\t2\t2\t1\t-\tb3929bfc-31b4-4d4b-b8e3-fb66bb64d556\n",
    "csv": "topic,partitions,replicas,under-replicated,internal,id\n"
    "__consumer_offsets,1,1,0,yes,-\n"
    "orders,2,2,1,-,b3929bfc-31b4-4d4b-b8e3-fb66bb64d556\n",
    "name": "__consumer_offsets\norders\n",
    "kafka": "__consumer_offsets\norders\n",
    "ndjson": '{"kind":"TopicList","apiVersion":"kops/v1","items":[{"name":"__consumer_offsets","id":null,'
    '"internal":true,"partitionCount":1,"replicationFactor":1},{"name":"orders",'
    '"id":"b3929bfc-31b4-4d4b-b8e3-fb66bb64d556","internal":false,"partitionCount":2,"replicationFactor":2}],'
    '"errors":[]}\n',
    "yaml": "kind: TopicList\napiVersion: kops/v1\nitems:\n- name: __consumer_offsets\n  id: null\n  internal: true\n"
    "  partitionCount: 1\n  replicationFactor: 1\n- name: orders\n  id: b3929bfc-31b4-4d4b-b8e3-fb66bb64d556\n"
    "  internal: false\n  partitionCount: 2\n  replicationFactor: 2\nerrors: []\n",
}


@pytest.mark.parametrize("form", LIST)
def test_topics_are_listed_in_every_format(kops: Kops, form: str) -> None:
    said = kops("topic", "list", "-o", form)
    assert (said.code, said.out) == (0, LIST[form])


def test_json_is_the_same_document_as_ndjson(kops: Kops) -> None:
    assert json.loads(kops("topic", "list", "-o", "json").out) == json.loads(LIST["ndjson"])


def test_wide_characters_line_up_and_control_characters_steer_no_terminal() -> None:
    rows = [["日本", 1], ["e\u0301a", 22], ["\x1b[31m", 3]]
    assert list(text.aligned(["NAME", "N"], rows, headers=True, color=False)) == [
        "NAME       N",
        "日本       1",
        "e\u0301a        22",
        "\\x1b[31m   3",
    ]
    assert list(text.tabbed(["A"], [["a\nb\tc"]], headers=False)) == ["a\\nb c"]


def test_a_stream_in_csv_has_its_heading_once(capsys: pytest.CaptureFixture[str]) -> None:
    columns: tuple[Column[Pair], ...] = (Column("A", itemgetter(0)), Column("B", itemgetter(1), wide=True))
    view = View("Pair", columns, lambda pair: {}, str)
    out = Output("csv")
    for pair in (("x,y", None), ("z", 1)):
        out.stream(view, pair)
    assert capsys.readouterr().out == 'a,b\n"x,y",\nz,1\n'


def test_headers_can_be_left_out(kops: Kops) -> None:
    assert kops("topic", "list", "--no-headers").out == "__consumer_offsets\t1\t1\t0\tyes\norders\t2\t2\t1\t-\n"


def test_global_options_are_understood_before_and_after_noun_and_verb(kops: Kops) -> None:
    lines = [("-o", "name", "topic", "list"), ("topic", "-o", "name", "list"), ("topic", "list", "-o", "name")]
    assert {kops(*line).out for line in lines} == {LIST["name"]}


def test_describe_prints_kafkas_own_lines(kops: Kops, cluster: type[FakeSession]) -> None:
    cluster.fake.configs = {"orders": {"retention.ms": "5"}}
    said = kops("topic", "describe", "orders", "-o", "kafka")
    assert said.out == (
        "Topic: orders\tTopicId: s5Kb_DG0TUu44_tmu2TVVg\tPartitionCount: 2\tReplicationFactor: 2\t"
        "Configs: retention.ms=5\n"
        "\tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n"
        "\tTopic: orders\tPartition: 1\tLeader: 1\tReplicas: 2,1\tIsr: 1\n"
    )


def test_describe_says_what_a_topic_is_on_stderr_and_its_partitions_on_stdout(kops: Kops) -> None:
    said = kops("topic", "describe", "orders")
    assert said.out.splitlines()[1:] == ["orders\t0\t1\t3\t1,2\t1,2\tok", "orders\t1\t1\t3\t2,1\t1\tunder-replicated"]
    assert "b3929bfc" in said.err


def test_only_under_replicated_partitions_when_asked(kops: Kops) -> None:
    said = kops("topic", "--describe", "--under-replicated-partitions")
    assert said.out == "\tTopic: orders\tPartition: 1\tLeader: 1\tReplicas: 2,1\tIsr: 1\n"


def test_brokers_are_listed_with_their_share(kops: Kops) -> None:
    said = kops("broker", "list")
    assert said.out.splitlines()[1:] == [
        "1\t127.0.0.1:9092\tup\tyes\t2\t2\t2",
        "2\t127.0.0.1:9093\tup\t-\t1\t3\t2",
    ]


def test_a_dry_run_is_marked_and_changes_nothing(kops: Kops, cluster: type[FakeSession]) -> None:
    said = kops("topic", "delete", "orders", "--dry-run", "-o", "json")
    document = json.loads(said.out)
    assert (said.code, document["dryRun"], document["plan"]) == (0, True, ["orders: 2 partitions on brokers 1,2"])
    assert all(call != "delete" for call, _ in cluster.fake.calls)


@pytest.mark.parametrize("form", ["table", "wide", "csv"])
def test_where_everything_failed_there_is_no_heading_over_nothing(
    kops: Kops, cluster: type[FakeSession], form: str
) -> None:
    cluster.fake.created_error = 36
    said = kops("topic", "create", "orders", "-o", form)
    assert (said.code, said.out) == (1, "")
    assert "already exists" in said.err
