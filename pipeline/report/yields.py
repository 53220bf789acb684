"""What each gate of the policy cost, and which tasks and classes came out at the end."""

from typing import Any

from filters.capability import CLASSES, TASKS
from filters.gates import Policy
from filters.patterns import count
from manifests.query import wide
from pipeline.report.facts import Facts
from pipeline.report.limits import of, scope, words


def by_gate(facts: Facts, policy: Policy) -> list[dict[str, Any]]:
    """A row a gate: its conditions and where they come from; clips measured, failed, rejected, rejected by it alone."""
    if "verdicts" not in facts.have:
        return []
    judged = "c.clip_id IN (SELECT clip_id FROM verdicts)"
    facts.con.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {wide(facts.stages, judged)}")
    counted = {row["gate"]: row for row in count(policy, facts.con, "judged").yields()}
    limits = [limit for found in of(policy).values() for limit in found]
    return [
        {
            **counted[gate.name],
            "conditions": [f"{limit.measure} {words(limit)}" for limit in limits if limit.gate == gate.name],
            "joined": "or" if gate.any_of else "and",
            "classes": scope(gate.classes),
            "source": gate.source,
        }
        for gate in policy.gates
    ]


def capabilities(facts: Facts) -> dict[str, Any]:
    """Class x task: kept clips that serve it, and clips of each class. One clip may serve several tasks."""
    if "verdicts" not in facts.have:
        return {"rows": [], "tasks": TASKS, "most": 0}
    counted = facts.rows(
        "SELECT class, task, count(*) n FROM"
        " (SELECT class, unnest(tasks) AS task FROM report WHERE outcome = 'kept') GROUP BY ALL"
    )
    clips = {
        r["class"]: r["n"]
        for r in facts.rows("SELECT class, count(*) n FROM report WHERE outcome = 'kept' GROUP BY ALL")
    }
    cells = {(row["class"], row["task"]): row["n"] for row in counted}
    rows = [
        {"class": name, "clips": clips.get(name, 0), "cells": [cells.get((name, task), 0) for task in TASKS]}
        for name in CLASSES
    ]
    return {"rows": rows, "tasks": TASKS, "most": max(cells.values(), default=0)}
