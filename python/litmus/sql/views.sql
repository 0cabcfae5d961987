-- SPDX-License-Identifier: Apache-2.0
-- Views over litmus_rows (every row of finished files and of runs in flight) and litmus_events.
-- `litmus sql` and litmus.connect() run this text; it is DuckDB's SQL.

CREATE OR REPLACE TEMP VIEW runs AS
SELECT run_id, session_id, slot_id, run_started_at AS started_at, run_ended_at AS ended_at, run_outcome AS outcome, live,
       dut_serial, dut_part_number, dut_revision, dut_lot_number, product_id, product_name, product_revision,
       station_id, station_name, station_type, station_location, station_hostname, fixture_id, test_phase,
       operator_id, operator_name, project_name, git_commit, git_branch, git_remote,
       stop_reason, deselected_count, plan_digest, python_version, litmus_version, env_fingerprint,
       epoch(run_ended_at - run_started_at) AS duration_s,
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
       epoch(step_ended_at - step_started_at) AS duration_s
FROM litmus_rows WHERE record_type = 'step';

-- One row per execution of a step; the last one is final.
CREATE OR REPLACE TEMP VIEW attempts AS
SELECT run_id, session_id, run_started_at, dut_serial, dut_part_number, station_id, test_phase, live,
       step_index, step_path, step_name, step_node_id, vector_index,
       n - 1 AS attempt, n = len(attempt_outcomes) AS is_final, attempt_outcomes[n] AS outcome,
       attempt_started_at[n] AS started_at, attempt_ended_at[n] AS ended_at,
       epoch(attempt_ended_at[n] - attempt_started_at[n]) AS duration_s
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

-- How often each planned step ran, never ran, and what came of it.
CREATE OR REPLACE TEMP VIEW step_coverage AS
SELECT dut_part_number, test_phase, step_path, any_value(step_name) AS step_name, count(*) AS planned,
       count(*) FILTER (WHERE NOT never_ran) AS ran, count(*) FILTER (WHERE never_ran) AS never_ran,
       count(*) FILTER (WHERE vector_outcome = 'passed') AS passed, count(*) FILTER (WHERE vector_outcome = 'failed') AS failed,
       count(*) FILTER (WHERE vector_outcome = 'errored') AS errored, count(*) FILTER (WHERE vector_outcome = 'skipped') AS skipped,
       count(*) FILTER (WHERE NOT never_ran) / count(*) AS coverage,
       max(run_started_at) FILTER (WHERE NOT never_ran) AS last_ran_at,
       min(run_started_at) FILTER (WHERE never_ran) AS first_missed_at,
       mode(never_ran_reason) FILTER (WHERE never_ran) AS usual_reason
FROM counted_steps GROUP BY ALL;

-- Which steps fail, the most frequent first, with their share of all failures and the sum of the shares so far.
CREATE OR REPLACE TEMP VIEW step_pareto AS
SELECT *, failures / sum(failures) OVER () AS share,
       sum(failures) OVER (ORDER BY failures DESC, step_path ROWS UNBOUNDED PRECEDING) / sum(failures) OVER () AS cumulative_share
FROM (SELECT step_path, any_value(step_name) AS step_name, count(*) FILTER (WHERE vector_outcome IN ('failed', 'errored')) AS failures, count(*) AS planned
      FROM counted_steps GROUP BY step_path)
WHERE failures > 0 ORDER BY failures DESC, step_path;

-- Failed and passed in one run: flaky. More attempts than one, and no pass: it failed again.
CREATE OR REPLACE TEMP VIEW flaky_steps AS
SELECT step_path, count(*) FILTER (WHERE tries > 1) AS retried, count(*) FILTER (WHERE tries > 1 AND bad > 0 AND good > 0) AS flaky, count(*) AS ran
FROM (SELECT run_id, step_path, vector_index, count(*) AS tries, count(*) FILTER (WHERE outcome IN ('failed', 'errored')) AS bad,
             count(*) FILTER (WHERE outcome = 'passed') AS good FROM attempts WHERE NOT live GROUP BY ALL)
GROUP BY step_path HAVING count(*) FILTER (WHERE tries > 1) > 0;

-- Yield by part number and phase. n of d for each figure; what is left out is counted, too.
-- first pass: units whose first run passed; last pass: whose latest did; final: that passed once at any time.
CREATE OR REPLACE TEMP VIEW yield AS
SELECT dut_part_number, test_phase,
       count(*) FILTER (WHERE try = 1) AS units, count(*) AS runs,
       count(*) FILTER (WHERE try = 1 AND outcome = 'passed') AS first_passed,
       count(*) FILTER (WHERE try = tries AND outcome = 'passed') AS last_passed,
       count(DISTINCT dut_serial) FILTER (WHERE outcome = 'passed') AS ever_passed,
       first_passed / units AS first_pass_yield, last_passed / units AS last_pass_yield, ever_passed / units AS final_yield,
       (SELECT count(*) FROM runs r WHERE r.left_out = 'no serial' AND r.dut_part_number IS NOT DISTINCT FROM u.dut_part_number
        AND r.test_phase IS NOT DISTINCT FROM u.test_phase) AS runs_without_serial
FROM unit_runs u GROUP BY dut_part_number, test_phase;

-- Step by step (a vector is one of its own), in the first run of each unit and its first attempt: n of d, and over the steps of the part.
-- Never ran counts against it, and so does a step that never passes (the product is 0). Left out, and counted:
-- skipped steps, those under a skip marker, and steps with nothing to judge (done). Sub-steps are in their step.
CREATE OR REPLACE TEMP VIEW first_steps AS
SELECT s.dut_part_number, s.test_phase, s.run_id, s.step_path, s.step_name, s.vector_index,
       coalesce(s.vector_outcome IN ('skipped', 'done') OR s.never_ran_reason = 'skip_marker', false) AS is_left_out,
       coalesce(s.attempt_outcomes[1] = 'passed', false) AS has_passed
FROM steps s JOIN unit_runs u ON u.run_id = s.run_id AND u.try = 1
WHERE NOT s.live AND coalesce(s.parent_path, '') NOT IN (SELECT DISTINCT step_path FROM litmus_rows WHERE record_type = 'step' AND step_path IS NOT NULL);

CREATE OR REPLACE TEMP VIEW step_yield AS
SELECT dut_part_number, test_phase, step_path, vector_index, any_value(step_name) AS step_name, count(*) FILTER (WHERE has_passed AND NOT is_left_out) AS passed,
       count(*) FILTER (WHERE NOT is_left_out) AS judged, count(*) FILTER (WHERE is_left_out) AS left_out,
       CASE WHEN judged > 0 THEN passed / judged END AS yield
FROM first_steps GROUP BY dut_part_number, test_phase, step_path, vector_index;

CREATE OR REPLACE TEMP VIEW rolled_yield AS
SELECT dut_part_number, test_phase, count(yield) AS steps, product(yield) AS rolled_throughput_yield,
       sum(judged - passed)::BIGINT AS defects, sum(judged)::BIGINT AS opportunities,
       CASE WHEN sum(judged) > 0 THEN 1e6 * sum(judged - passed) / sum(judged) END AS dpmo, sum(left_out)::BIGINT AS left_out
FROM step_yield GROUP BY dut_part_number, test_phase;

-- Pp and Ppk: the standard deviation is that of all recorded values (n - 1), retries included and counted; without
-- two different values there is none. The interval is Bissell's for 95 %. Other limits make a row of their own.
CREATE OR REPLACE TEMP VIEW capability AS
SELECT *, CASE WHEN sd > 0 THEN (limit_high - limit_low) / (6 * sd) END AS pp,
       CASE WHEN sd > 0 THEN least((limit_high - mean) / (3 * sd), (mean - limit_low) / (3 * sd)) END AS ppk,
       ppk - 1.959963984540054 * sqrt(1 / (9.0 * n) + ppk * ppk / (2.0 * (n - 1))) AS ppk_low,
       ppk + 1.959963984540054 * sqrt(1 / (9.0 * n) + ppk * ppk / (2.0 * (n - 1))) AS ppk_high
FROM (SELECT dut_part_number, step_path, measurement_name, measurement_units, limit_low, limit_high, count(measurement_value) AS n,
             count(*) - count(measurement_value) AS without_value, count(*) FILTER (WHERE vector_retry > 0) AS from_retries,
             avg(measurement_value) AS mean, CASE WHEN count(measurement_value) > 1 THEN stddev_samp(measurement_value) END AS sd
      FROM counted_rows WHERE record_type = 'measurement' AND (limit_low IS NOT NULL OR limit_high IS NOT NULL) GROUP BY ALL);

-- What stands in the plan of one run and not in that of the run before it (same part and phase): joined, left.
CREATE OR REPLACE TEMP VIEW plan_drift AS
WITH ordered AS (SELECT *, lag(run_id) OVER w AS before_id, lag(plan_digest) OVER w AS before_digest FROM runs WHERE NOT live
                 WINDOW w AS (PARTITION BY project_name, dut_part_number, test_phase ORDER BY started_at, run_id)),
     changed AS (SELECT * FROM ordered WHERE before_id IS NOT NULL AND plan_digest IS DISTINCT FROM before_digest),
     plans AS (SELECT DISTINCT run_id, step_path, vector_index FROM steps WHERE run_id IN (SELECT run_id FROM changed UNION SELECT before_id FROM changed))
SELECT c.run_id, c.started_at, c.git_commit, c.before_id, 'joined' AS change, p.step_path, p.vector_index FROM changed c JOIN plans p ON p.run_id = c.run_id
WHERE NOT EXISTS (SELECT 1 FROM plans o WHERE o.run_id = c.before_id AND o.step_path = p.step_path AND o.vector_index IS NOT DISTINCT FROM p.vector_index)
UNION ALL
SELECT c.run_id, c.started_at, c.git_commit, c.before_id, 'left', p.step_path, p.vector_index FROM changed c JOIN plans p ON p.run_id = c.before_id
WHERE NOT EXISTS (SELECT 1 FROM plans o WHERE o.run_id = c.run_id AND o.step_path = p.step_path AND o.vector_index IS NOT DISTINCT FROM p.vector_index);
