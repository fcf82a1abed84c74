"""A process that is gone is missed at once, not when its session has expired; Kafka has nothing that answers to this.

What is observed (``cluster/refusals``): a connection broke, and for a whole window the host refused every new one. A
broker that was observed so is *suspected*: its registration stands, and the controller does to its replicas what it
does when the registration is gone. Why nothing is lost, even where the suspicion is wrong:

- Nobody relies on the suspect's being dead. Whoever is elected was in the ISR, so it has every acknowledged record, and
  leads in the next leader epoch. The new leadership is a conditional write behind the check of the controller epoch,
  the same one that a session's end brings about; afterwards the ISR that the suspect knows can no longer be changed by
  it. The members of that ISR follow the new leader and no longer fetch from the suspect, so its high watermark stands
  still: no acks=all write ends there, and what it took meanwhile is cut off when it follows.
- A suspect neither leads nor enters an ISR, and its own proposals are refused, as those of a dead broker are.
- It is not proof enough to give records up: while a member of the ISR is only suspected, no unclean election is held
  for that partition, save by an operator's word.
- A suspect that answers is live again. It is asked by an UpdateMetadata that carries the epoch of its registration:
  only the process that made that registration answers it without an error. One that was started anew has another
  epoch, and registers itself, which ends the suspicion as well; so does the end of its session.

The controller itself is watched by every other broker. Deleting its /controller is what the end of its session does,
earlier. That node only says who may stand for election. What makes a former controller harmless is that the next one
raises /controller_epoch in the multi that creates /controller: from then on every write of the former fails its check.
The delete checks the version of /controller_epoch that was read before /controller was, so it can only remove the very
node that was observed; and it checks the registration, so that a controller that has moved its listener is not taken
for dead. A broker deposes a controller only after a connection to it was made: one that cannot reach it never does.
"""

from __future__ import annotations

import logging

from broker.controller import brokers
from broker.controller.conversation import Transition, Turn, ask
from broker.controller.events import BrokerUnreachable, ControllerSeen, ControlReply, Send
from broker.controller.requests import greeting
from broker.zk import znodes
from broker.zk.operations import Check, Delete, GetData, Multi, Result

log = logging.getLogger(__name__)


def on_broker_unreachable(turn: Turn, event: BrokerUnreachable) -> Transition[None]:
    """Suspect it, unless it is this broker itself, or has registered anew since it was observed."""
    context, broker = turn.context, event.broker
    known = context.live.get(broker)
    if known is None or known.epoch != event.broker_epoch or broker == turn.config.broker_id:
        return
    log.warning("broker %d refuses connections: replaced before its session ends", broker)
    was_stopping = broker in context.shutting_down
    context.suspected[broker] = known
    yield from brokers.on_failure(turn, [broker])
    if was_stopping:
        context.shutting_down.add(broker)
    greet(turn, broker)


def greet(turn: Turn, broker: int) -> None:
    """Ask a suspect, again and again, whether it is still the process that registered."""
    brokers.open_channel(turn, broker)
    turn.effects.append(Send(broker, greeting(turn, turn.context.suspected[broker].epoch)))


def on_control_reply(turn: Turn, event: ControlReply) -> Transition[None]:
    """A suspect that answers as the process that registered is live again; others' answers are not of this."""
    suspect = turn.context.suspected.get(event.broker)
    if suspect is None or suspect.epoch != event.broker_epoch or event.response.error_code:
        yield from brokers.on_control_reply(turn, event)
        return
    log.warning("broker %d answers: live again", event.broker)
    turn.context.live[event.broker] = turn.context.suspected.pop(event.broker)
    yield from brokers.on_startup(turn, [event.broker])


# --- the controller itself -----------------------------------------------------------------------------------------


def look_at(turn: Turn, broker: int, holder: Result, epoch_version: int) -> Transition[ControllerSeen | None]:
    """The controller, as something to be watched. ``epoch_version`` must have been read before ``holder`` was."""
    found = (yield from ask([GetData(znodes.broker_id(broker))]))[0]
    if not found.ok or found.stat is None:
        return None
    try:
        znode = znodes.BrokerZnode.decode(broker, found.data)
    except znodes.MalformedZnode:
        return None
    listener = turn.config.inter_broker_listener()
    for end in znode.endpoints:
        if end.listener == listener:
            versions = (epoch_version, holder.version, found.version)
            return ControllerSeen(broker, end.host, end.port, found.stat.czxid, *versions)
    return None


def depose(seen: ControllerSeen) -> Transition[None]:
    """Delete /controller, if it is still the node that was seen, of the epoch and at the address that were seen."""
    conditions = (
        Check(znodes.CONTROLLER_EPOCH, seen.epoch_version),
        Check(znodes.broker_id(seen.broker), seen.registration_version),
    )
    result = (yield from ask([Multi((*conditions, Delete(znodes.CONTROLLER, seen.controller_version)))]))[0]
    if result.ok:
        log.warning("controller %d refuses connections: deposed before its session ends", seen.broker)
    else:
        log.info("controller %d refuses connections, and is not as it was: %s", seen.broker, result.code.name)
