"""A run in numbers, counted by the database: what `agentrl journal` shows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, and_, func, select, union

from agentrl.journal.exchange_tables import leases, offers, policies
from agentrl.journal.ledger import ALLOWED_SECONDS, ledger, topics
from agentrl.journal.lineage import surviving
from agentrl.journal.reading import lives_of, steps_of
from agentrl.journal.standing import newest
from agentrl.journal.tables import credits, episodes, groups, trajectories, turns
from agentrl.types import Status

ID_BYTES = 4
FAILED = [status.value for status in Status if status.failed]


def overview(connection: Connection, run: str) -> dict[str, Any]:
    """Lives, and of what survives: steps, groups, episodes by status, turns, tokens, agents.

    `exchanges` are the run's channels, each with what all of its trainers handed over.
    """
    inside = and_(groups.c.run == run, surviving(groups))
    count = connection.scalar(select(func.count()).select_from(groups).where(inside))
    main = of_trajectories(run, trajectories.c.status, func.count()).where(
        trajectories.c.trajectory == 0
    )
    ended = connection.execute(main.group_by(trajectories.c.status).order_by(func.count().desc()))
    agents = agents_of(connection, run)
    return {
        "run": run,
        "lives": [life._asdict() for life in lives_of(connection, run)],
        "steps": steps_of(connection, run),
        "groups": count,
        "episodes": {row[0]: row[1] for row in ended},
        "turns": sum(agent["turns"] for agent in agents.values()),
        "tokens": sum(agent["tokens"] for agent in agents.values()),
        "agents": agents,
        "exchanges": [exchange(connection, channel) for channel in channels_of(connection, run)],
    }


def channels_of(connection: Connection, run: str) -> list[str]:
    """The channels in which a run has offered, taken or published anything."""
    taken = select(offers.c.channel).join(leases, leases.c.offer == offers.c.id)
    own = [
        select(offers.c.channel).where(offers.c.run == run),
        taken.where(leases.c.run == run),
        select(policies.c.channel).where(policies.c.run == run),
    ]
    return sorted(connection.scalars(union(*own)))


def exchange(connection: Connection, channel: str) -> dict[str, Any]:
    """A channel's ledgers by topic, and where the newest version of every policy is."""
    own = [topic for topic in topics(connection) if topic.channel == channel]
    names = select(policies.c.name).where(policies.c.channel == channel).distinct()
    found = [newest(connection, channel, name) for name in sorted(connection.scalars(names))]
    return {
        "channel": channel,
        "topics": [ledger(connection, topic, ALLOWED_SECONDS).as_dict() for topic in own],
        "policies": [published._asdict() for published in found if published is not None],
    }


def agents_of(connection: Connection, run: str) -> dict[str, dict[str, Any]]:
    """Of each agent: trajectories, mean reward of those that did not fail, turns, tokens, credit.

    `advantage` is the mean absolute advantage of its turns, each by its rows; None without any.
    """
    agent, failed = trajectories.c.agent, trajectories.c.status.in_(FAILED)
    reward = func.avg(trajectories.c.reward).filter(~failed)
    played = of_trajectories(run, agent, func.count(), reward).group_by(agent).order_by(agent)
    tokens = func.sum(func.length(turns.c.ids)) / ID_BYTES
    said = of_trajectories(run, agent, func.count(), tokens).group_by(agent)
    said = said.join(turns, of_turn(turns))
    rows = func.sum(credits.c.rows)
    size = func.sum(func.abs(credits.c.advantage) * credits.c.rows)
    paid = of_trajectories(run, agent, func.count(), rows, size).group_by(agent)
    paid = paid.join(credits, of_turn(credits))
    found: dict[str, dict[str, Any]] = {
        name: {
            **{"trajectories": count, "reward": mean, "turns": 0, "tokens": 0},
            **{"credited_turns": 0, "advantage": None},
        }
        for name, count, mean in connection.execute(played)
    }
    for name, count, sampled in connection.execute(said):
        found[name] |= {"turns": count, "tokens": int(sampled)}
    for name, count, total, absolute in connection.execute(paid):
        found[name] |= {"credited_turns": count, "advantage": absolute / total}
    return found


def of_turn(rows: Any) -> Any:
    """A turn's or a credit's row belongs to a trajectory's."""
    return and_(
        rows.c.episode == trajectories.c.episode, rows.c.trajectory == trajectories.c.trajectory
    )


def of_trajectories(run: str, *columns: Any) -> Select[Any]:
    """A query over a run's surviving trajectories."""
    return (
        select(*columns)
        .select_from(trajectories)
        .join(episodes, episodes.c.id == trajectories.c.episode)
        .where(episodes.c.run == run, surviving(episodes))
    )
