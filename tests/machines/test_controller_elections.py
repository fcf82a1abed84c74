"""Plays: who is controller, and who leads when somebody asks for it."""

from __future__ import annotations

from tests.machines.controller_stage import Stage


def test_the_first_to_stand_is_controller_and_the_others_remember_who_is() -> None:
    stage = Stage().play("""
        broker 2 stands
            ...
            zk /controller is {"version":2,"brokerid":2,"timestamp":"1700000000000","kraftControllerEpoch":-1}
            zk /controller_epoch is 1
            zk /feature is {"version":2,"status":1,"features":{}}
        broker 1 stands
        broker 3 stands
    """)
    assert [actor.machine.is_active for actor in stage.actors.values()] == [False, True, False]
    assert [actor.machine.controller_id for actor in stage.actors.values()] == [2, 2, 2]


def test_a_dead_controller_is_replaced_by_one_of_the_next_epoch_which_tells_everybody_everything() -> None:
    Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        topic orders is created on 1,2,3
            ...
        broker 1 dies
            open 2 at host2:9092
            open 3 at host3:9093
            2,3 < UpdateMetadata e2 alive 2,3
            2,3 < LeaderAndIsr e2 orders-0 leader 1 epoch 0 isr 1,2,3
            2,3 < UpdateMetadata e2 orders-0 leader 1 epoch 0 isr 1,2,3 offline 1; alive 2,3
            2,3 < LeaderAndIsr e2 orders-0 leader -1 epoch 1 isr 2,3
            2,3 < UpdateMetadata e2 orders-0 leader -1 epoch 1 isr 2,3 offline 1; alive 2,3
            2,3 < LeaderAndIsr e2 orders-0 leader 2 epoch 2 isr 2,3
            2,3 < UpdateMetadata e2 orders-0 leader 2 epoch 2 isr 2,3 offline 1; alive 2,3
            in 5 s: AutoRebalance
            zk orders-0 leader 2 epoch 2 isr 2,3 by e2 version 2
    """)


def test_a_controller_that_slept_through_its_replacement_changes_nothing_and_resigns() -> None:
    stage = Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        topic orders is created on 1,2,3
            ...
        controller 1 pauses
        broker 3 dies
        the session of broker 1 expires unnoticed
            ...
            zk orders-0 leader 2 epoch 2 isr 2 by e2 version 2
        # what it believes: broker 3 died, so it would elect and shrink
        controller 1 resumes
            1 resigns
            zk orders-0 leader 2 epoch 2 isr 2 by e2 version 2
            zk /controller_epoch is 2
    """)
    assert stage.actors[1].machine.controller_id == 2


def test_an_election_whose_reply_was_lost_is_won_all_the_same() -> None:
    Stage().play("""
        the reply to the next write of /controller will be lost
        broker 3 stands
            open 1 at host1:9091
            open 2 at host2:9092
            open 3 at host3:9093
            1,2,3 < UpdateMetadata e1 alive 1,2,3
            in 5 s: AutoRebalance
            zk /controller_epoch is 1
    """)


def test_a_controller_whose_znode_was_removed_resigns_and_stands_again() -> None:
    Stage().play("""
        broker 1 stands
            ...
        somebody removes /controller
            1 resigns
            open 1 at host1:9091
            open 2 at host2:9092
            open 3 at host3:9093
            1,2,3 < UpdateMetadata e2 alive 1,2,3
            in 5 s: AutoRebalance
    """)


def test_a_controller_that_broke_off_without_leaving_is_elected_anew_in_its_own_session() -> None:
    Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        controller 1 breaks off and cannot leave
            open 1 at host1:9091
            open 2 at host2:9092
            open 3 at host3:9093
            1,2,3 < UpdateMetadata e2 alive 1,2,3
            in 5 s: AutoRebalance
            zk /controller_epoch is 2
    """)


def test_a_controller_node_of_an_earlier_life_is_waited_out() -> None:
    stage = Stage().play("""
        broker 1 stands
            ...
    """)
    stage.actors[1].machine.resign()
    stage.sessions += 1
    stage.actors[1].session = stage.sessions
    stage.play("""
        broker 1 stands
            zk /controller_epoch is 1
    """)


def test_an_election_whose_write_lost_against_a_leaders_isr_change_is_decided_again() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        # memory says isr 1,2; broker 2 must not lead, for it has left
        the leader of orders-0 writes isr 1 and has not said so yet
        broker 1 dies
            close 1
            2 < LeaderAndIsr e1 orders-0 leader -1 epoch 1 isr 1
            2,3 < UpdateMetadata e1 orders-0 leader -1 epoch 1 isr 1 offline 1; alive 2,3
            zk orders-0 leader -1 epoch 1 isr 1 by e1 version 2
    """)


def test_a_write_whose_reply_was_lost_is_recognised_and_not_repeated() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        the reply to the next write of /brokers/topics/orders/partitions/0/state will be lost
        broker 1 dies
            close 1
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 1 isr 2
            2,3,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2 offline 1; alive 2,3
            zk orders-0 leader 2 epoch 1 isr 2 by e1 version 1
    """)


def test_a_preferred_leader_is_elected_when_it_is_alive_and_in_sync() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 1 dies
            ...
        elect preferred orders-0
            reply orders-0 PREFERRED_LEADER_NOT_AVAILABLE
        broker 1 returns
            ...
        elect preferred orders-0,ghost-0
            reply orders-0 PREFERRED_LEADER_NOT_AVAILABLE; ghost-0 UNKNOWN_TOPIC_OR_PARTITION
        leader 2 proposes orders-0 isr 2,1 epoch 1 version 1
            ...
        elect preferred orders-0
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 2 isr 2,1
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 2 isr 2,1; alive 1,2,3
            reply orders-0 NONE
        elect preferred orders-0
            reply orders-0 ELECTION_NOT_NEEDED
        elect preferred everything
            reply nothing
    """)


def test_an_admin_may_elect_a_replica_out_of_sync_when_there_is_no_leader() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        elect unclean orders-0
            reply orders-0 ELECTION_NOT_NEEDED
        broker 2 dies
            ...
        broker 1 dies
            ...
        elect unclean orders-0
            reply orders-0 ELIGIBLE_LEADERS_NOT_AVAILABLE
        broker 2 returns
            ...
        elect unclean orders-0
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 3 isr 2 recovering
            2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 3 isr 2 offline 1; alive 2,3
            reply orders-0 NONE
    """)


def test_the_older_tool_asks_by_a_znode_which_is_removed_when_done() -> None:
    script = """
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 1 dies
            ...
        broker 1 returns
            ...
        leader 2 proposes orders-0 isr 2,1 epoch 1 version 1
            ...
        the old tool asks for preferred orders-0,ghost-1
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 2 isr 2,1
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 2 isr 2,1; alive 1,2,3
            zk /admin/preferred_replica_election is absent
        # and is heard again
        the old tool asks for preferred orders-0
            zk /admin/preferred_replica_election is absent
    """
    Stage().play(script)


def test_leaders_go_back_where_they_are_preferred_once_it_is_time_and_enough_are_astray() -> None:
    astray = """
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 1 dies
            ...
        broker 1 returns
            ...
        it is time to rebalance
            in 300 s: AutoRebalance
        leader 2 proposes orders-0 isr 2,1 epoch 1 version 1
            ...
        it is time to rebalance
            in 300 s: AutoRebalance
    """
    Stage().play(
        astray
        + """
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 2 isr 2,1
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 2 isr 2,1; alive 1,2,3
    """
    )
    Stage(auto_leader_rebalance_enable=False).play(astray)
    Stage(leader_imbalance_per_broker_percentage=100).play(astray)


def test_producer_ids_are_handed_out_in_blocks_none_twice() -> None:
    Stage().play("""
        broker 3 stands
            ...
        broker 1 wants producer ids
            reply NONE 0+1000
        broker 2 wants producer ids
            reply NONE 1000+1000
            zk /latest_producer_id_block is {"version":1,"broker":2,"block_start":"1000","block_end":"1999"}
        broker 9 wants producer ids
            reply BROKER_ID_NOT_REGISTERED 0+0
    """)
