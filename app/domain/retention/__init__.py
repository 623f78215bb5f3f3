"""Which snapshots of a table are kept, why, until when, and which expire: pure rules, without I/O.

| asked                                                   | answered by                                |
|---------------------------------------------------------|--------------------------------------------|
| how much is kept                                        | `policy.RetentionPolicy`                   |
| what a table's own properties make of that              | `overrides.rules_of_table`                 |
| what needs snapshots, beyond the names of tags          | `holders.Holders`                          |
| what stays and what goes, with all reasons and dates    | `planning.plan_retention`                  |
| what that leaves                                        | `plans.history_after`                      |
| the same in sentences                                   | `explaining`, `explaining_tables`          |
| which tags nobody may need any more                     | `tag_audit.audit_tags`                     |
| what Iceberg's own expiry would do, our rules left out  | `iceberg.expire_as_iceberg`                |

Every reason holds over a span of time that does not depend on when the plan is made. So a later plan of the same table
expires whatever an earlier one does, and the date on which a snapshot expires is exact.
"""
