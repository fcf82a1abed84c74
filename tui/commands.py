"""The words of the command bar, and what completes them."""

from collections.abc import Iterable

from textual.suggester import Suggester

COMMANDS = {
    "overview": "the cluster in figures, what needs attention",
    "brokers": "the brokers",
    "topics": "the topics; :topics NAME opens one",
    "isr": "partitions against brokers, live; :isr NAME filters",
    "groups": "consumer groups and their lag; :groups NAME opens one",
    "records": "the tail of a topic: :records NAME",
    "zookeeper": "ZooKeeper's tree: :zookeeper /path",
    "events": "everything that changed",
    "ctx": "another context: :ctx NAME",
    "theme": "other colours: :theme NAME",
    "help": "the keys of this screen",
    "quit": "end the dashboard",
}
ALIASES = {"zk": "zookeeper", "topic": "topics", "broker": "brokers", "group": "groups", "q": "quit", "context": "ctx"}


def parse(line: str) -> tuple[str | None, str]:
    """The command that a line means, None for none, and what follows it."""
    word, _, rest = line.strip().lstrip(":").partition(" ")
    name = ALIASES.get(word, word)
    if name not in COMMANDS:
        name = next((one for one in COMMANDS if word and one.startswith(word)), name)
    return (name if name in COMMANDS else None), rest.strip()


class Completion(Suggester):
    """Completes commands, and topics and contexts after them."""

    def __init__(
        self, topics: Iterable[str], groups: Iterable[str], contexts: Iterable[str], themes: Iterable[str]
    ) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.lines = [*COMMANDS, *(f"ctx {name}" for name in contexts), *(f"theme {name}" for name in themes)]
        self.lines += [f"groups {name}" for name in groups]
        for name in topics:
            self.lines += [f"topics {name}", f"isr {name}", f"records {name}"]

    async def get_suggestion(self, value: str) -> str | None:
        return next((line for line in self.lines if value and line.startswith(value)), None)
