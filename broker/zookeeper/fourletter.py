"""Four-letter words: text commands on a fresh connection (org.apache.zookeeper.server.command)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.zookeeper.connection import Connection
    from broker.zookeeper.server import ZooKeeperServer

VERSION = "3.8.0-kops"
BUILT = "01/01/2026 00:00 GMT"
"""In the form of ZooKeeper 3.6 and before, since go-zookeeper refuses the newer one."""


def answer(word: str, server: ZooKeeperServer) -> str:
    """The text for one of :data:`WORDS`; a word that is not in the whitelist is refused in ZooKeeper's own words."""
    allowed = server.config.whitelist
    if word not in allowed and "*" not in allowed:
        return f"{word} is not executed because it is not in the whitelist.\n"
    return _WORDS[word](server)


def _ruok(server: ZooKeeperServer) -> str:
    return "imok"


def _srvr(server: ZooKeeperServer) -> str:
    return _head() + _tail(server)


def _stat(server: ZooKeeperServer) -> str:
    clients = "".join(
        f" /{c.host}:{c.port}[1](queued=0,recved={c.received},sent={c.sent})\n" for c in server.connections
    )
    return _head() + f"Clients:\n{clients}\n" + _tail(server)


def _head() -> str:
    return f"Zookeeper version: {VERSION}, built on {BUILT}\n"


def _tail(server: ZooKeeperServer) -> str:
    took = server.latencies
    return (
        f"Latency min/avg/max: {took.least:.0f}/{took.average:.4f}/{took.most:.0f}\n"
        f"Received: {server.received}\nSent: {server.sent}\nConnections: {len(server.connections)}\n"
        f"Outstanding: {server.outstanding}\nZxid: 0x{server.tree.last_zxid:x}\nMode: standalone\n"
        f"Node count: {len(server.tree.nodes)}\n"
    )


def _cons(server: ZooKeeperServer) -> str:
    return "".join(_describe(connection) for connection in server.connections) + "\n"


def _describe(c: Connection) -> str:
    head = f" /{c.host}:{c.port}[1](queued={c.outstanding},recved={c.received},sent={c.sent}"
    if c.session is None:
        return head + ")\n"
    took = c.latencies
    return (
        f"{head},sid=0x{c.session.id:x},lop={c.last_op},est={c.connected_wall_ms},to={c.session.timeout_ms},"
        f"lcxid=0x{c.last_cxid & 0xFFFFFFFF:x},lzxid=0x{c.last_zxid & 0xFFFFFFFFFFFFFFFF:x},"
        f"lresp={c.connected_wall_ms},llat={took.last:.0f},minlat={took.least:.0f},avglat={took.average:.0f},"
        f"maxlat={took.most:.0f})\n"
    )


def _conf(server: ZooKeeperServer) -> str:
    config = server.config
    return (
        f"clientPort={server.port}\nsecureClientPort=-1\ndataDir={config.snap_dir}\ndataDirSize={server.disk_used(config.snap_dir)}\n"
        f"dataLogDir={config.log_dir}\ndataLogSize={server.disk_used(config.log_dir)}\ntickTime={config.tick_time}\n"
        f"maxClientCnxns={config.max_client_cnxns}\nminSessionTimeout={config.min_timeout_ms}\n"
        f"maxSessionTimeout={config.max_timeout_ms}\nclientPortListenBacklog={config.backlog}\nserverId=0\n"
    )


def _mntr(server: ZooKeeperServer) -> str:
    took, tree = server.latencies, server.tree
    values: dict[str, object] = {
        "version": f"{VERSION}, built on {BUILT}",
        "server_state": "standalone",
        "peer_state": "leading - broadcast",
        "avg_latency": round(took.average, 4),
        "max_latency": round(took.most),
        "min_latency": round(took.least),
        "packets_received": server.received,
        "packets_sent": server.sent,
        "num_alive_connections": len(server.connections),
        "outstanding_requests": server.outstanding,
        "znode_count": len(tree.nodes),
        "watch_count": server.watches.count(),
        "ephemerals_count": sum(len(paths) for paths in tree.ephemerals.values()),
        "approximate_data_size": tree.data_bytes + sum(map(len, tree.nodes)),
        "global_sessions": len(server.sessions),
        "last_proposal_size": -1,
    }
    return "".join(f"zk_{name}\t{value}\n" for name, value in values.items())


def _wchs(server: ZooKeeperServer) -> str:
    table = server.watches.data
    total = sum(len(paths) for paths in table.paths.values())
    return f"{len(table.paths)} connections watching {len(table.by_path)} paths\nTotal watches:{total}\n"


def _wchc(server: ZooKeeperServer) -> str:
    lines: list[str] = []
    for connection, paths in server.watches.data.paths.items():
        if connection.session is not None:
            lines += [f"0x{connection.session.id:x}", *(f"\t{path}" for path in paths)]
    return "".join(line + "\n" for line in lines)


def _wchp(server: ZooKeeperServer) -> str:
    lines: list[str] = []
    for path, watchers in server.watches.data.by_path.items():
        lines.append(path)
        lines += [f"\t0x{connection.session.id:x}" for connection in watchers if connection.session is not None]
    return "".join(line + "\n" for line in lines)


def _dump(server: ZooKeeperServer) -> str:
    now = server.clock.monotonic()
    sessions = server.sessions.all()
    ephemerals = server.tree.ephemerals
    lines = ["SessionTracker dump:", f"Session Sets ({len(sessions)})/({len(sessions)}):"]
    lines += [f"1 expire in {max(0.0, s.deadline - now) * 1000:.0f}ms:\n\t0x{s.id:x}" for s in sessions]
    lines.append(f"ephemeral nodes dump:\nSessions with Ephemerals ({len(ephemerals)}):")
    for session_id, paths in ephemerals.items():
        lines += [f"0x{session_id:x}:", *(f"\t{path}" for path in paths)]
    lines += ["Connections dump:", f"Connections Sets (1)/({len(server.connections)}):"]
    lines += [f"\tip: /{c.host}:{c.port} sessionId: 0x{c.session.id if c.session else 0:x}" for c in server.connections]
    return "".join(line + "\n" for line in lines)


def _envi(server: ZooKeeperServer) -> str:
    return (
        f"Environment:\nzookeeper.version={VERSION}, built on {BUILT}\nhost.name={server.host.net.hostname()}\n"
        "java.version=none\njava.vendor=none (kops, Python)\n"
    )


def _dirs(server: ZooKeeperServer) -> str:
    config = server.config
    return f"datadir_size: {server.disk_used(config.snap_dir)}\nlogdir_size: {server.disk_used(config.log_dir)}\n"


def _isro(server: ZooKeeperServer) -> str:
    return "rw"


def _srst(server: ZooKeeperServer) -> str:
    server.latencies.reset()
    server.received = server.sent = 0
    return "Server stats reset.\n"


def _crst(server: ZooKeeperServer) -> str:
    for connection in server.connections:
        connection.latencies.reset()
        connection.received, connection.sent = 1, 0
    return "Connection stats reset.\n"


def _hash(server: ZooKeeperServer) -> str:
    return ""


def _gtmk(server: ZooKeeperServer) -> str:
    return "306"


_WORDS: dict[str, Callable[[ZooKeeperServer], str]] = {
    "ruok": _ruok,
    "srvr": _srvr,
    "stat": _stat,
    "cons": _cons,
    "conf": _conf,
    "mntr": _mntr,
    "wchs": _wchs,
    "wchc": _wchc,
    "wchp": _wchp,
    "dump": _dump,
    "envi": _envi,
    "dirs": _dirs,
    "isro": _isro,
    "srst": _srst,
    "crst": _crst,
    "hash": _hash,
    "gtmk": _gtmk,
}
WORDS = {word.encode(): word for word in _WORDS}
