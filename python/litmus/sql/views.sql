-- SPDX-License-Identifier: Apache-2.0
-- Views over litmus_rows (every row of finished files and of runs in flight), litmus_lake_steps (the steps of the lake, told
-- shortly), litmus_outside (rows that the lake does not have) and litmus_events.
-- `litmus sql` and litmus.connect() run this text; it is DuckDB's SQL. No semicolon but at the end of a statement.

CREATE OR REPLACE TEMP VIEW runs AS
SELECT run_id, session_id, slot_id, run_started_at AS started_at, run_ended_at AS ended_at, run_outcome AS outcome, live,
       dut_serial, dut_part_number, dut_revision, dut_lot_number, product_id, product_name, product_revision,
       station_id, station_name, station_type, station_location, station_hostname, fixture_id, test_phase,
       operator_id, operator_name, project_name, git_commit, git_branch, git_remote,
       stop_reason, deselected_count, plan_digest, python_version, litmus_version, env_fingerprint,
       (epoch_us(run_ended_at) - epoch_us(run_started_at)) / 1e6 AS duration_s,
       litmus_is_golden(dut_serial) AS golden, coalesce(list_contains(step_instruments_mocked, true), false) AS mocked,
       CASE WHEN live THEN 'in flight' WHEN litmus_is_golden(dut_serial) THEN 'golden unit'
            WHEN list_contains(step_instruments_mocked, true) THEN 'mocked instruments'
            WHEN run_outcome IN ('skipped', 'done') THEN 'no verdict'
            WHEN trim(coalesce(dut_serial, '')) = '' THEN 'no serial' END AS left_out
FROM litmus_rows WHERE record_type = 'run';

CREATE OR REPLACE TEMP VIEW live AS SELECT * FROM runs WHERE live;

-- never_ran: no verdict and never started. In a run in flight such a step may still come: it is NULL there.
CREATE OR REPLACE TEMP VIEW steps AS
SELECT *, CASE WHEN step_outcome IS NULL AND vector_outcome IS NULL AND step_started_at IS NULL
               THEN CASE WHEN live THEN NULL ELSE true END ELSE false END AS never_ran,
       (epoch_us(step_ended_at) - epoch_us(step_started_at)) / 1e6 AS duration_s
FROM litmus_rows WHERE record_type = 'step';

-- One row per execution of a step; the last one is final.
CREATE OR REPLACE TEMP VIEW attempts AS
SELECT run_id, session_id, run_started_at, dut_serial, dut_part_number, station_id, test_phase, live,
       step_index, step_path, step_name, step_node_id, vector_index,
       n - 1 AS attempt, n = len(attempt_outcomes) AS is_final, attempt_outcomes[n] AS outcome,
       attempt_started_at[n] AS started_at, attempt_ended_at[n] AS ended_at,
       (epoch_us(attempt_ended_at[n]) - epoch_us(attempt_started_at[n])) / 1e6 AS duration_s
FROM (SELECT *, unnest(range(1, len(attempt_outcomes) + 1)) AS n FROM litmus_rows
      WHERE record_type = 'step' AND len(attempt_outcomes) > 0);

CREATE OR REPLACE TEMP VIEW measurements AS SELECT * FROM litmus_rows WHERE record_type = 'measurement';

CREATE OR REPLACE TEMP VIEW events AS SELECT * FROM litmus_events;

-- ---- Analysis. A unit is a serial, per part number and phase. runs.left_out says why a run is in no yield: it is in flight,
-- of a golden unit (golden_units in litmus.yaml), with mocked instruments, without a verdict, or without a serial.

-- The runs that count, each with its place in the history of its unit: over the whole record, before any
-- filter, so that a window cannot make a retest a first try.
CREATE OR REPLACE TEMP VIEW unit_runs AS
SELECT *, row_number() OVER unit AS try, count(*) OVER (PARTITION BY dut_part_number, test_phase, trim(dut_serial)) AS tries
FROM runs WHERE left_out IS NULL
WINDOW unit AS (PARTITION BY dut_part_number, test_phase, trim(dut_serial) ORDER BY started_at, run_id);

-- Rows of finished runs that prove something about the product: not of golden units, not with mocked instruments.
CREATE OR REPLACE TEMP VIEW counted_rows AS
SELECT * FROM litmus_rows WHERE NOT live AND NOT litmus_is_golden(dut_serial) AND NOT coalesce(list_contains(step_instruments_mocked, true), false);

CREATE OR REPLACE TEMP VIEW counted_steps AS
SELECT *, step_outcome IS NULL AND vector_outcome IS NULL AND step_started_at IS NULL AS never_ran FROM counted_rows WHERE record_type = 'step';

-- Steps are counted by plan: in the lake a run says which plan it has, and its rows are there only for what did not plainly pass (src/query/lake_plans.h).
-- What is not in the lake is counted row by row. litmus_step_runs: one row a run with steps; lake_plan is NULL outside the lake.
CREATE OR REPLACE TEMP VIEW litmus_step_runs AS
SELECT lake_plan, run_id, run_started_at, dut_serial, dut_part_number, dut_lot_number, station_id, operator_id, test_phase, project_name, git_commit, false AS live,
       coalesce(list_contains(step_instruments_mocked, true), false) AS mocked
FROM litmus_lake_steps WHERE lake_kind = 'run'
UNION ALL
SELECT NULL, run_id, first(run_started_at), first(dut_serial), first(dut_part_number), first(dut_lot_number), first(station_id), first(operator_id), first(test_phase),
       first(project_name), first(git_commit), first(live), coalesce(list_contains(first(step_instruments_mocked), true), false)
FROM litmus_outside WHERE record_type = 'step' GROUP BY run_id;

-- Step rows that are told one by one.
CREATE OR REPLACE TEMP VIEW litmus_step_others AS
SELECT lake_plan, run_id, run_started_at, step_path, step_name, parent_path, vector_index, step_outcome, vector_outcome, never_ran_reason, attempt_outcomes,
       step_outcome IS NULL AND vector_outcome IS NULL AND step_started_at IS NULL AS never_ran
FROM litmus_lake_steps WHERE lake_kind = 'other'
UNION ALL
SELECT NULL, run_id, run_started_at, step_path, step_name, parent_path, vector_index, step_outcome, vector_outcome, never_ran_reason, attempt_outcomes,
       step_outcome IS NULL AND vector_outcome IS NULL AND step_started_at IS NULL
FROM litmus_outside WHERE record_type = 'step';

-- The step rows of some runs, each kind with its number n (which may be negative: sum it). `picked` names a table or view: run_id, and what to group by.
CREATE OR REPLACE TEMP MACRO litmus_step_counts(picked) AS TABLE
WITH others AS MATERIALIZED (SELECT p.* EXCLUDE (run_id), o.* EXCLUDE (run_id, run_started_at) FROM litmus_step_others o JOIN query_table(picked) p USING (run_id)),
     plans AS (SELECT p.* EXCLUDE (run_id), lake_plan, count(*) AS n FROM litmus_step_runs r JOIN query_table(picked) p USING (run_id) WHERE lake_plan IS NOT NULL GROUP BY ALL),
     ordinary AS (SELECT p.* EXCLUDE (lake_plan), step_path, step_name, parent_path, vector_index
                  FROM plans p JOIN (SELECT * FROM litmus_lake_steps WHERE lake_kind = 'plan') s ON s.lake_plan = p.lake_plan
                  UNION ALL BY NAME
                  SELECT * EXCLUDE (lake_plan, step_outcome, vector_outcome, never_ran_reason, attempt_outcomes, never_ran), -1 AS n FROM others WHERE lake_plan IS NOT NULL)
SELECT * EXCLUDE (lake_plan), 1 AS n FROM others
UNION ALL BY NAME
SELECT *, 'passed' AS step_outcome, 'passed' AS vector_outcome, NULL::VARCHAR AS never_ran_reason, ['passed'] AS attempt_outcomes, false AS never_ran FROM ordinary;

-- When each step last ran, and first and last did not, of some runs by part and phase. `picked`: run_id, dut_part_number, test_phase. A step of a plan ran in the
-- latest run of the plan but those in which none of its rows ran: as many of these as stand at the top are passed over.
CREATE OR REPLACE TEMP MACRO litmus_step_times(picked) AS TABLE
WITH runs AS MATERIALIZED (SELECT *, dense_rank() OVER (ORDER BY dut_part_number, test_phase, lake_plan) AS family
             FROM (SELECT run_id, r.run_started_at, r.lake_plan, p.dut_part_number, p.test_phase FROM litmus_step_runs r JOIN query_table(picked) p USING (run_id))),
     placed AS MATERIALIZED (SELECT run_id, family, run_started_at, row_number() OVER (PARTITION BY family ORDER BY run_started_at DESC, run_id) AS place
               FROM runs WHERE lake_plan IS NOT NULL),
     planned AS MATERIALIZED (SELECT family, f.dut_part_number, f.test_phase, s.step_path, count(*) AS k
                FROM (SELECT DISTINCT family, lake_plan, dut_part_number, test_phase FROM runs) f JOIN litmus_lake_steps s ON s.lake_kind = 'plan' AND s.lake_plan = f.lake_plan GROUP BY ALL),
     missed AS (SELECT family, step_path, place, count(*) AS k FROM litmus_step_others JOIN placed USING (run_id) WHERE never_ran GROUP BY ALL),
     atop AS (SELECT family, step_path, count(*) AS n
                 FROM (SELECT m.family, m.step_path, place, row_number() OVER (PARTITION BY m.family, m.step_path ORDER BY place) AS nth
                       FROM missed m JOIN planned p ON p.family = m.family AND p.step_path IS NOT DISTINCT FROM m.step_path AND p.k = m.k)
                 WHERE place = nth GROUP BY ALL)
SELECT dut_part_number, test_phase, step_path, max(moment) FILTER (WHERE ran) AS last_ran_at, min(moment) FILTER (WHERE NOT ran) AS first_missed_at,
       max(moment) FILTER (WHERE NOT ran) AS last_missed_at
FROM (SELECT p.dut_part_number, p.test_phase, p.step_path, r.run_started_at AS moment, true AS ran
      FROM planned p LEFT JOIN atop l ON l.family = p.family AND l.step_path IS NOT DISTINCT FROM p.step_path
           JOIN placed r ON r.family = p.family AND r.place = coalesce(l.n, 0) + 1
      UNION ALL
      SELECT r.dut_part_number, r.test_phase, o.step_path, r.run_started_at, NOT o.never_ran
      FROM litmus_step_others o JOIN runs r USING (run_id) WHERE o.never_ran OR o.lake_plan IS NULL)
GROUP BY ALL;

-- Paths of steps that some run planned.
CREATE OR REPLACE TEMP VIEW litmus_step_paths AS
SELECT DISTINCT step_path FROM litmus_lake_steps WHERE lake_kind = 'plan' AND lake_plan IN (SELECT lake_plan FROM litmus_step_runs WHERE lake_plan IS NOT NULL)
UNION SELECT step_path FROM litmus_step_others WHERE lake_plan IS NULL;

CREATE OR REPLACE TEMP VIEW litmus_counted_runs AS
SELECT run_id, dut_part_number, test_phase FROM litmus_step_runs WHERE NOT live AND NOT mocked AND NOT litmus_is_golden(dut_serial);

-- How often each planned step ran, never ran, and what came of it.
CREATE OR REPLACE TEMP VIEW step_coverage AS
SELECT c.* EXCLUDE (usual_reason), last_ran_at, first_missed_at, usual_reason
FROM (SELECT dut_part_number, test_phase, step_path, any_value(step_name) AS step_name, sum(n)::BIGINT AS planned,
             coalesce(sum(n) FILTER (WHERE NOT s.never_ran), 0)::BIGINT AS ran, coalesce(sum(n) FILTER (WHERE s.never_ran), 0)::BIGINT AS never_ran,
             coalesce(sum(n) FILTER (WHERE vector_outcome = 'passed'), 0)::BIGINT AS passed, coalesce(sum(n) FILTER (WHERE vector_outcome = 'failed'), 0)::BIGINT AS failed,
             coalesce(sum(n) FILTER (WHERE vector_outcome = 'errored'), 0)::BIGINT AS errored, coalesce(sum(n) FILTER (WHERE vector_outcome = 'skipped'), 0)::BIGINT AS skipped,
             ran / planned AS coverage, mode(never_ran_reason) FILTER (WHERE s.never_ran) AS usual_reason
      FROM litmus_step_counts('litmus_counted_runs') s GROUP BY dut_part_number, test_phase, step_path) c
     LEFT JOIN litmus_step_times('litmus_counted_runs') t ON t.step_path IS NOT DISTINCT FROM c.step_path AND t.dut_part_number IS NOT DISTINCT FROM c.dut_part_number
     AND t.test_phase IS NOT DISTINCT FROM c.test_phase;

-- Which steps fail, the most frequent first, with their share of all failures and the sum of the shares so far.
CREATE OR REPLACE TEMP VIEW step_pareto AS
SELECT *, failures / sum(failures) OVER () AS share,
       sum(failures) OVER (ORDER BY failures DESC, step_path ROWS UNBOUNDED PRECEDING) / sum(failures) OVER () AS cumulative_share
FROM (SELECT step_path, any_value(step_name) AS step_name, coalesce(sum(n) FILTER (WHERE vector_outcome IN ('failed', 'errored')), 0)::BIGINT AS failures, sum(n)::BIGINT AS planned
      FROM litmus_step_counts('litmus_counted_runs') GROUP BY step_path)
WHERE failures > 0 ORDER BY failures DESC, step_path;

-- Failed and passed in one run: flaky. More attempts than one, and no pass: it failed again.
CREATE OR REPLACE TEMP VIEW flaky_steps AS
SELECT step_path, coalesce(sum(n) FILTER (WHERE len(attempt_outcomes) > 1), 0)::BIGINT AS retried,
       coalesce(sum(n) FILTER (WHERE len(attempt_outcomes) > 1 AND list_has_any(attempt_outcomes, ['failed', 'errored']) AND list_contains(attempt_outcomes, 'passed')), 0)::BIGINT AS flaky,
       sum(n)::BIGINT AS ran
FROM litmus_step_counts('litmus_counted_runs') WHERE len(attempt_outcomes) > 0
GROUP BY step_path HAVING retried > 0;

-- Yield by part number and phase. n of d for each figure; what is left out is counted, too.
-- first pass: units whose first run passed; last pass: whose latest did; final: that passed once at any time.
CREATE OR REPLACE TEMP VIEW yield AS
SELECT dut_part_number, test_phase,
       count(*) FILTER (WHERE try = 1) AS units, count(*) AS runs,
       count(*) FILTER (WHERE try = 1 AND outcome = 'passed') AS first_passed,
       count(*) FILTER (WHERE try = tries AND outcome = 'passed') AS last_passed,
       count(DISTINCT trim(dut_serial)) FILTER (WHERE outcome = 'passed') AS ever_passed,
       first_passed / units AS first_pass_yield, last_passed / units AS last_pass_yield, ever_passed / units AS final_yield,
       (SELECT count(*) FROM runs r WHERE r.left_out = 'no serial' AND r.dut_part_number IS NOT DISTINCT FROM u.dut_part_number
        AND r.test_phase IS NOT DISTINCT FROM u.test_phase) AS runs_without_serial
FROM unit_runs u GROUP BY dut_part_number, test_phase;

-- Step by step (a vector is one of its own), in the first run of each unit and its first attempt: n of d, and over the steps of the part.
-- Never ran counts against it, and so does a step that never passes (the product is 0). Left out, and counted:
-- steps whose first attempt skipped or had nothing to judge (done), and those under a skip marker. Sub-steps are in their step.
-- (Files of other writers may have no list of attempts: the outcome is then that of the only one.)
CREATE OR REPLACE TEMP VIEW first_steps AS
SELECT s.dut_part_number, s.test_phase, s.run_id, s.step_path, s.step_name, s.vector_index,
       coalesce(coalesce(s.attempt_outcomes[1], s.vector_outcome) IN ('skipped', 'done') OR s.never_ran_reason = 'skip_marker', false) AS is_left_out,
       coalesce(coalesce(s.attempt_outcomes[1], s.vector_outcome) = 'passed', false) AS has_passed
FROM steps s JOIN unit_runs u ON u.run_id = s.run_id AND u.try = 1
WHERE NOT s.live AND coalesce(s.parent_path, '') NOT IN (SELECT DISTINCT step_path FROM litmus_rows WHERE record_type = 'step' AND step_path IS NOT NULL);

CREATE OR REPLACE TEMP VIEW litmus_first_runs AS SELECT run_id, dut_part_number, test_phase FROM unit_runs WHERE try = 1;

CREATE OR REPLACE TEMP VIEW step_yield AS
SELECT dut_part_number, test_phase, step_path, vector_index, step_name, passed, planned - left_out AS judged, left_out, CASE WHEN judged > 0 THEN passed / judged END AS yield
FROM (SELECT dut_part_number, test_phase, step_path, vector_index, parent_path, any_value(step_name) AS step_name, sum(n)::BIGINT AS planned,
             coalesce(sum(n) FILTER (WHERE coalesce(attempt_outcomes[1], vector_outcome) = 'passed'), 0)::BIGINT AS passed,
             coalesce(sum(n) FILTER (WHERE coalesce(attempt_outcomes[1], vector_outcome) IN ('skipped', 'done') OR never_ran_reason = 'skip_marker'), 0)::BIGINT AS left_out
      FROM litmus_step_counts('litmus_first_runs') GROUP BY ALL)
WHERE coalesce(parent_path, '') NOT IN (SELECT step_path FROM litmus_step_paths WHERE step_path IS NOT NULL);

CREATE OR REPLACE TEMP VIEW rolled_yield AS
SELECT dut_part_number, test_phase, count(yield) AS steps, product(yield) AS rolled_throughput_yield,
       sum(judged - passed)::BIGINT AS defects, sum(judged)::BIGINT AS opportunities,
       CASE WHEN sum(judged) > 0 THEN 1e6 * sum(judged - passed) / sum(judged) END AS dpmo, sum(left_out)::BIGINT AS left_out
FROM step_yield GROUP BY dut_part_number, test_phase;

-- What was measured in the first attempt that measured it, in each run that counts: figures about values are of these. A retry exists because a value was bad.
CREATE OR REPLACE TEMP VIEW first_measurements AS
SELECT * FROM counted_rows WHERE record_type = 'measurement' AND run_id NOT IN (SELECT run_id FROM measurements WHERE vector_retry > 0)
UNION ALL
SELECT * FROM counted_rows WHERE record_type = 'measurement' AND run_id IN (SELECT run_id FROM measurements WHERE vector_retry > 0)
QUALIFY coalesce(vector_retry, 0) = min(coalesce(vector_retry, 0)) OVER (PARTITION BY run_id, step_path, vector_index, measurement_name);

-- Pp and Ppk, as litmus capability: the standard deviation is that of all values of first attempts (n - 1), from 10 of them on that are not all
-- equal. The interval is Bissell's for 95 %. Other limits or units make a row of their own.
CREATE OR REPLACE TEMP VIEW capability AS
SELECT *, CASE WHEN n >= 10 AND sd > 0 THEN (limit_high - limit_low) / (6 * sd) END AS pp,
       CASE WHEN n >= 10 AND sd > 0 THEN least((limit_high - mean) / (3 * sd), (mean - limit_low) / (3 * sd)) END AS ppk,
       ppk - 1.959963984540054 * sqrt(1 / (9.0 * n) + ppk * ppk / (2.0 * (n - 1))) AS ppk_low,
       ppk + 1.959963984540054 * sqrt(1 / (9.0 * n) + ppk * ppk / (2.0 * (n - 1))) AS ppk_high
FROM (SELECT dut_part_number, step_path, measurement_name, measurement_units, limit_low, limit_high, count(measurement_value) AS n,
             count(*) - count(measurement_value) AS without_value, count(*) FILTER (WHERE measurement_value < limit_low OR measurement_value > limit_high) AS outside,
             avg(measurement_value) AS mean, CASE WHEN count(measurement_value) > 1 THEN stddev_samp(measurement_value) END AS sd
      FROM first_measurements WHERE limit_low IS NOT NULL OR limit_high IS NOT NULL GROUP BY ALL);

-- Each value on the chart of individuals and that of moving ranges of its measurement, as litmus control --all: centre the mean, limits 3 deviations,
-- the deviation from the mean moving range of two. is_beyond: the first run rule.
CREATE OR REPLACE TEMP VIEW control AS
SELECT step_path, measurement_name, measurement_units, started_at, run_id, dut_serial, value, moving_range, avg(value) OVER series AS center,
       avg(moving_range) OVER series * sqrt(pi()) / 2 AS deviation, center - 3 * deviation AS lower, center + 3 * deviation AS upper,
       (1 + 3 * sqrt(pi() / 2 - 1)) * avg(moving_range) OVER series AS moving_range_upper, abs(value - center) > 3 * deviation AS is_beyond
FROM (SELECT step_path, measurement_name, measurement_units, run_started_at AS started_at, run_id, dut_serial, measurement_timestamp, vector_index, measurement_value AS value,
             abs(value - lag(value) OVER (PARTITION BY step_path, measurement_name, measurement_units ORDER BY run_started_at, run_id, measurement_timestamp, vector_index)) AS moving_range
      FROM first_measurements WHERE measurement_value IS NOT NULL)
WINDOW series AS (PARTITION BY step_path, measurement_name, measurement_units);

-- How long steps took that ended, in seconds, as litmus durations: of the last execution; trend: seconds a week.
CREATE OR REPLACE TEMP VIEW durations AS
SELECT step_path, any_value(step_name) AS step_name, count(*) AS n, quantile_cont(us, 0.5) / 1e6 AS median, quantile_cont(us, 0.9) / 1e6 AS p90,
       quantile_cont(us, 0.95) / 1e6 AS p95, quantile_cont(us, 0.99) / 1e6 AS p99, max(us) / 1e6 AS longest, sum(us) / 1e6 AS total,
       sum(us) / sum(sum(us)) OVER () AS share, CASE WHEN max(run_started_at) > min(run_started_at) THEN regr_slope(us, epoch_us(run_started_at)) * 604800 END AS trend
FROM (SELECT step_path, step_name, run_started_at, epoch_us(step_ended_at) - epoch_us(step_started_at) AS us FROM counted_rows
      WHERE record_type = 'step' AND step_started_at IS NOT NULL AND step_ended_at IS NOT NULL)
GROUP BY step_path;

-- Steps that failed or errored in any attempt, by serial, and the runs of such units.
CREATE OR REPLACE TEMP VIEW litmus_failed_steps AS
SELECT DISTINCT trim(r.dut_serial) AS serial, step_path FROM litmus_step_others o JOIN litmus_step_runs r USING (run_id) WHERE list_has_any(attempt_outcomes, ['failed', 'errored']);

CREATE OR REPLACE TEMP VIEW litmus_failed_unit_runs AS
SELECT run_id, run_id AS run, started_at, dut_part_number, test_phase, trim(dut_serial) AS serial FROM unit_runs WHERE trim(dut_serial) IN (SELECT serial FROM litmus_failed_steps);

-- A case: a planned step (each vector) of a unit that failed or errored in any attempt of any run, and what came of it, as litmus retest --all.
-- An execution without a verdict (skipped, done, cut off) mends nothing and spoils nothing.
CREATE OR REPLACE TEMP VIEW retest AS
WITH ran AS (SELECT dut_part_number, test_phase, serial, step_path, vector_index, run AS run_id, started_at, [word FOR word IN attempt_outcomes IF word IN ('passed', 'failed', 'errored')][-1] AS verdict,
                    list_has_any(attempt_outcomes, ['failed', 'errored']) AS failed, list_contains(attempt_outcomes, 'passed') AS passed, sum(n) AS n
             FROM litmus_step_counts('litmus_failed_unit_runs') JOIN litmus_failed_steps USING (serial, step_path) WHERE list_has_any(attempt_outcomes, ['passed', 'failed', 'errored']) GROUP BY ALL HAVING sum(n) > 0),
     cases AS (SELECT dut_part_number, test_phase, serial, step_path, vector_index, sum(n)::BIGINT AS runs, coalesce(sum(n) FILTER (WHERE failed), 0)::BIGINT AS failed_runs, max(started_at) AS last_at,
                      arg_max(verdict, (started_at, run_id)) AS last_verdict, bool_or(failed AND passed) AS is_mixed,
                      list(run_id) FILTER (WHERE failed) AS bad FROM ran GROUP BY ALL HAVING failed_runs > 0),
     near AS (SELECT run_id, step_path, vector_index, bool_and(coalesce(greatest(measurement_value - limit_high, limit_low - measurement_value, 0)
                     <= 0.05 * (1 + 1e-9) * coalesce(limit_high - limit_low, abs(limit_high), abs(limit_low)), false)) AS is_near
              FROM measurements WHERE measurement_outcome IN ('failed', 'errored') GROUP BY ALL),
     margins AS (SELECT c.dut_part_number, c.test_phase, c.serial, c.step_path, c.vector_index, bool_and(coalesce(is_near, false)) AS is_near
                 FROM (SELECT *, unnest(bad) AS run_id FROM cases) c LEFT JOIN near n
                      ON n.run_id = c.run_id AND n.step_path = c.step_path AND n.vector_index IS NOT DISTINCT FROM c.vector_index GROUP BY ALL)
SELECT c.* EXCLUDE (last_verdict, is_mixed, bad),
       CASE WHEN last_verdict IS DISTINCT FROM 'passed' THEN CASE WHEN failed_runs > 1 THEN 'bad unit' ELSE 'not retested' END
            WHEN is_near THEN 'marginal' WHEN is_mixed THEN 'flaky' ELSE 'passed on retest' END AS kind
FROM cases c JOIN margins m ON m.serial = c.serial AND m.step_path = c.step_path AND m.dut_part_number IS NOT DISTINCT FROM c.dut_part_number
     AND m.test_phase IS NOT DISTINCT FROM c.test_phase AND m.vector_index IS NOT DISTINCT FROM c.vector_index;

-- What stands in the plan of one run and not in that of the run before it (same part and phase): joined, left.
CREATE OR REPLACE TEMP VIEW litmus_changed_plans AS
SELECT run_id, started_at, git_commit, before_id
FROM (SELECT *, lag(run_id) OVER w AS before_id, lag(plan_digest) OVER w AS before_digest FROM runs WHERE NOT live
      WINDOW w AS (PARTITION BY project_name, dut_part_number, test_phase ORDER BY started_at, run_id))
WHERE before_id IS NOT NULL AND plan_digest IS DISTINCT FROM before_digest;

CREATE OR REPLACE TEMP VIEW litmus_plan_runs AS
SELECT run_id, run_id AS run FROM (SELECT run_id FROM litmus_changed_plans UNION SELECT before_id FROM litmus_changed_plans);

CREATE OR REPLACE TEMP VIEW plan_drift AS
WITH changed AS MATERIALIZED (FROM litmus_changed_plans),
     plans AS MATERIALIZED (SELECT DISTINCT run AS run_id, step_path, vector_index FROM litmus_step_counts('litmus_plan_runs'))
SELECT c.run_id, c.started_at, c.git_commit, c.before_id, 'joined' AS change, p.step_path, p.vector_index FROM changed c JOIN plans p ON p.run_id = c.run_id
WHERE NOT EXISTS (SELECT 1 FROM plans o WHERE o.run_id = c.before_id AND o.step_path = p.step_path AND o.vector_index IS NOT DISTINCT FROM p.vector_index)
UNION ALL
SELECT c.run_id, c.started_at, c.git_commit, c.before_id, 'left', p.step_path, p.vector_index FROM changed c JOIN plans p ON p.run_id = c.before_id
WHERE NOT EXISTS (SELECT 1 FROM plans o WHERE o.run_id = c.run_id AND o.step_path = p.step_path AND o.vector_index IS NOT DISTINCT FROM p.vector_index);
