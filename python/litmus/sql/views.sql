-- SPDX-License-Identifier: Apache-2.0
-- Views over litmus_rows (every row of finished files and of runs in flight), litmus_run_rows (one of them a run), litmus_lake_steps (the steps of
-- the lake, told shortly), litmus_outside (rows that the lake does not have) and litmus_events.
-- `litmus sql` and litmus.connect() run this text; it is DuckDB's SQL. No semicolon but at the end of a statement.

CREATE OR REPLACE TEMP VIEW runs AS
SELECT run_id, session_id, slot_id, run_started_at AS started_at, run_ended_at AS ended_at, run_outcome AS outcome, live,
       dut_serial, dut_part_number, dut_revision, dut_lot_number, product_id, product_name, product_revision,
       station_id, station_name, station_type, station_location, station_hostname, fixture_id, test_phase,
       operator_id, operator_name, project_name, git_commit, git_branch, git_remote,
       stop_reason, deselected_count, plan_digest, python_version, litmus_version, env_fingerprint,
       (epoch_us(run_ended_at) - epoch_us(run_started_at)) / 1e6 AS duration_s,
       litmus_is_golden(dut_serial, dut_part_number, dut_lot_number, test_phase, station_id) AS golden, coalesce(list_contains(step_instruments_mocked, true), false) AS mocked,
       CASE WHEN live THEN 'in flight' WHEN litmus_is_golden(dut_serial, dut_part_number, dut_lot_number, test_phase, station_id) THEN 'golden unit'
            WHEN list_contains(step_instruments_mocked, true) THEN 'mocked instruments'
            WHEN run_outcome IN ('skipped', 'done') THEN 'no verdict'
            WHEN trim(coalesce(dut_serial, '')) = '' THEN 'no serial' END AS left_out
FROM litmus_run_rows;

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
-- golden (golden_units in litmus.yaml), with mocked instruments, without a verdict, or without a serial.

-- The runs that count, each with its place in the history of its unit: over the whole record, before any
-- filter, so that a window cannot make a retest a first try.
CREATE OR REPLACE TEMP VIEW unit_runs AS
SELECT *, row_number() OVER unit AS try, count(*) OVER (PARTITION BY dut_part_number, test_phase, trim(dut_serial)) AS tries
FROM runs WHERE left_out IS NULL
WINDOW unit AS (PARTITION BY dut_part_number, test_phase, trim(dut_serial) ORDER BY started_at, run_id);

-- Rows of finished runs that prove something about the product: not of golden units, not with mocked instruments.
CREATE OR REPLACE TEMP VIEW counted_rows AS
SELECT * FROM litmus_rows WHERE NOT live AND NOT litmus_is_golden(dut_serial, dut_part_number, dut_lot_number, test_phase, station_id) AND NOT coalesce(list_contains(step_instruments_mocked, true), false);

CREATE OR REPLACE TEMP VIEW counted_steps AS
SELECT *, step_outcome IS NULL AND vector_outcome IS NULL AND step_started_at IS NULL AS never_ran FROM counted_rows WHERE record_type = 'step';

-- How many of the rows that n counts are so.
CREATE OR REPLACE TEMP MACRO litmus_count(n, is_so) AS coalesce(sum(n) FILTER (WHERE is_so), 0)::BIGINT;

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

-- The same of chosen steps only: `picked` has run_id, step_path, and what to group by. So few rows of plans are looked at.
CREATE OR REPLACE TEMP MACRO litmus_picked_steps(picked) AS TABLE
WITH others AS MATERIALIZED (SELECT p.* EXCLUDE (run_id), lake_plan, vector_index, attempt_outcomes FROM litmus_step_others o JOIN query_table(picked) p
                             ON p.run_id = o.run_id AND p.step_path = o.step_path),
     planned AS MATERIALIZED (SELECT p.* EXCLUDE (run_id), lake_plan FROM query_table(picked) p JOIN litmus_step_runs r ON r.run_id = p.run_id WHERE lake_plan IS NOT NULL),
     ordinary AS (SELECT p.* EXCLUDE (lake_plan), s.vector_index, 1 AS n
                  FROM planned p JOIN (SELECT * FROM litmus_lake_steps WHERE lake_kind = 'plan') s ON s.lake_plan = p.lake_plan AND s.step_path = p.step_path
                  UNION ALL BY NAME
                  SELECT * EXCLUDE (lake_plan, attempt_outcomes), -1 AS n FROM others WHERE lake_plan IS NOT NULL)
SELECT * EXCLUDE (lake_plan), 1 AS n FROM others
UNION ALL BY NAME
SELECT *, ['passed'] AS attempt_outcomes FROM ordinary;

-- When each step last ran, and first and last did not, of some runs by part and phase. `picked`: run_id, dut_part_number, test_phase. A family is the runs with one plan,
-- part and phase. A step of a plan ran in the latest run of the family but those in which none of its rows ran: as many of these as stand at the top are passed over.
-- Most steps ran in the latest run, and are done with that.
CREATE OR REPLACE TEMP MACRO litmus_step_times(picked) AS TABLE
WITH runs AS MATERIALIZED (SELECT run_id, r.run_started_at, r.lake_plan, p.dut_part_number, p.test_phase FROM litmus_step_runs r JOIN query_table(picked) p USING (run_id)),
     families AS MATERIALIZED (SELECT row_number() OVER () AS family, * FROM (SELECT DISTINCT lake_plan, dut_part_number, test_phase FROM runs)),
     placed AS MATERIALIZED (SELECT run_id, family, run_started_at, row_number() OVER (PARTITION BY family ORDER BY run_started_at DESC, run_id) AS place
               FROM runs r JOIN families f ON r.lake_plan IS NOT DISTINCT FROM f.lake_plan AND r.dut_part_number IS NOT DISTINCT FROM f.dut_part_number
                    AND r.test_phase IS NOT DISTINCT FROM f.test_phase),
     planned AS MATERIALIZED (SELECT family, s.step_path, count(*) AS k FROM families f JOIN litmus_lake_steps s ON s.lake_kind = 'plan' AND s.lake_plan = f.lake_plan GROUP BY ALL),
     told AS MATERIALIZED (SELECT family, step_path, place, p.run_started_at, never_ran FROM litmus_step_others o JOIN placed p USING (run_id) WHERE never_ran OR lake_plan IS NULL),
     missed AS (SELECT m.family, m.step_path, place, count(*) AS k FROM told m SEMI JOIN (SELECT family, step_path FROM told WHERE never_ran AND place = 1) top
                     ON top.family = m.family AND top.step_path IS NOT DISTINCT FROM m.step_path WHERE never_ran GROUP BY ALL),
     atop AS (SELECT family, step_path, count(*) AS n
                 FROM (SELECT m.family, m.step_path, place, row_number() OVER (PARTITION BY m.family, m.step_path ORDER BY place) AS nth
                       FROM missed m JOIN planned p ON p.family = m.family AND p.step_path IS NOT DISTINCT FROM m.step_path AND p.k = m.k)
                 WHERE place = nth GROUP BY ALL)
SELECT dut_part_number, test_phase, step_path, max(last_ran) AS last_ran_at, min(first_missed) AS first_missed_at, max(last_missed) AS last_missed_at
FROM (SELECT family, step_path, max(run_started_at) FILTER (WHERE NOT never_ran) AS last_ran, min(run_started_at) FILTER (WHERE never_ran) AS first_missed,
             max(run_started_at) FILTER (WHERE never_ran) AS last_missed FROM told GROUP BY ALL
      UNION ALL
      SELECT p.family, p.step_path, r.run_started_at, NULL, NULL
      FROM planned p LEFT JOIN atop l ON l.family = p.family AND l.step_path IS NOT DISTINCT FROM p.step_path
           JOIN placed r ON r.family = p.family AND r.place = coalesce(l.n, 0) + 1)
     JOIN families USING (family)
GROUP BY ALL;

-- Steps, with their sub-steps, that are in some run. What is counted by step leaves a sub-step out, by its parent: it is in its step.
CREATE OR REPLACE TEMP VIEW litmus_step_paths AS
SELECT DISTINCT step_path, step_name FROM litmus_lake_steps WHERE lake_kind = 'plan' AND lake_plan IN (SELECT lake_plan FROM litmus_step_runs WHERE lake_plan IS NOT NULL)
UNION SELECT step_path, step_name FROM litmus_step_others WHERE lake_plan IS NULL;

-- Runs that count, with all that is known of them here; and as litmus_step_counts takes them.
CREATE OR REPLACE TEMP VIEW litmus_step_runs_counted AS
SELECT * FROM litmus_step_runs WHERE NOT live AND NOT mocked AND NOT litmus_is_golden(dut_serial, dut_part_number, dut_lot_number, test_phase, station_id);

CREATE OR REPLACE TEMP VIEW litmus_counted_runs AS SELECT run_id, dut_part_number, test_phase FROM litmus_step_runs_counted;

-- How often each planned step ran, never ran, and what came of it.
CREATE OR REPLACE TEMP VIEW step_coverage AS
WITH counted AS MATERIALIZED (
     SELECT dut_part_number, test_phase, step_path, any_value(step_name) AS step_name, any_value(parent_path) AS parent_path, sum(n)::BIGINT AS planned,
             litmus_count(n, NOT s.never_ran) AS ran, litmus_count(n, s.never_ran) AS never_ran,
             litmus_count(n, vector_outcome = 'passed') AS passed, litmus_count(n, vector_outcome = 'failed') AS failed,
             litmus_count(n, vector_outcome = 'errored') AS errored, litmus_count(n, vector_outcome = 'skipped') AS skipped,
             ran / planned AS coverage, mode(never_ran_reason) FILTER (WHERE s.never_ran) AS usual_reason
     FROM litmus_step_counts('litmus_counted_runs') s GROUP BY dut_part_number, test_phase, step_path)
SELECT c.* EXCLUDE (usual_reason, parent_path), last_ran_at, first_missed_at, usual_reason
FROM counted c
     LEFT JOIN litmus_step_times('litmus_counted_runs') t ON t.step_path IS NOT DISTINCT FROM c.step_path AND t.dut_part_number IS NOT DISTINCT FROM c.dut_part_number
     AND t.test_phase IS NOT DISTINCT FROM c.test_phase
WHERE coalesce(parent_path, '') NOT IN (SELECT step_path FROM counted WHERE step_path IS NOT NULL);

-- Which steps fail, the most frequent first, with their share of all failures and the sum of the shares so far.
CREATE OR REPLACE TEMP VIEW step_pareto AS
WITH counted AS MATERIALIZED (
     SELECT step_path, any_value(step_name) AS step_name, any_value(parent_path) AS parent_path, litmus_count(n, vector_outcome IN ('failed', 'errored')) AS failures, sum(n)::BIGINT AS planned
     FROM litmus_step_counts('litmus_counted_runs') GROUP BY step_path)
SELECT * EXCLUDE (parent_path), failures / sum(failures) OVER () AS share,
       sum(failures) OVER (ORDER BY failures DESC, step_path ROWS UNBOUNDED PRECEDING) / sum(failures) OVER () AS cumulative_share
FROM counted WHERE failures > 0 AND coalesce(parent_path, '') NOT IN (SELECT step_path FROM counted WHERE step_path IS NOT NULL) ORDER BY failures DESC, step_path;

-- Failed and passed in one run: flaky. More attempts than one, and no pass: it failed again.
CREATE OR REPLACE TEMP VIEW flaky_steps AS
WITH counted AS MATERIALIZED (
SELECT step_path, any_value(parent_path) AS parent_path, litmus_count(n, len(attempt_outcomes) > 1) AS retried,
       litmus_count(n, len(attempt_outcomes) > 1 AND list_has_any(attempt_outcomes, ['failed', 'errored']) AND list_contains(attempt_outcomes, 'passed')) AS flaky,
       sum(n)::BIGINT AS ran
FROM litmus_step_counts('litmus_counted_runs') WHERE len(attempt_outcomes) > 0
GROUP BY step_path)
SELECT * EXCLUDE (parent_path) FROM counted WHERE retried > 0 AND coalesce(parent_path, '') NOT IN (SELECT step_path FROM counted WHERE step_path IS NOT NULL);

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
             litmus_count(n, coalesce(attempt_outcomes[1], vector_outcome) = 'passed') AS passed,
             litmus_count(n, coalesce(attempt_outcomes[1], vector_outcome) IN ('skipped', 'done') OR never_ran_reason = 'skip_marker') AS left_out
      FROM litmus_step_counts('litmus_first_runs') GROUP BY ALL)
WHERE coalesce(parent_path, '') NOT IN (SELECT step_path FROM litmus_step_paths WHERE step_path IS NOT NULL);

CREATE OR REPLACE TEMP VIEW rolled_yield AS
SELECT dut_part_number, test_phase, count(yield) AS steps, product(yield) AS rolled_throughput_yield,
       sum(judged - passed)::BIGINT AS defects, sum(judged)::BIGINT AS opportunities,
       CASE WHEN sum(judged) > 0 THEN 1e6 * sum(judged - passed) / sum(judged) END AS dpmo, sum(left_out)::BIGINT AS left_out
FROM step_yield GROUP BY dut_part_number, test_phase;

-- What was measured in the first attempt that measured it, in each run that counts: figures about values are of these. A retry exists because a value was bad.
-- NaN and infinity (in files of other writers), and what is so large that its square is none, is no value.
CREATE OR REPLACE TEMP VIEW first_measurements AS
SELECT * REPLACE (CASE WHEN abs(measurement_value) < 1e150 THEN measurement_value END AS measurement_value,
                  CASE WHEN abs(limit_low) < 1e150 THEN limit_low END AS limit_low, CASE WHEN abs(limit_high) < 1e150 THEN limit_high END AS limit_high) FROM (
SELECT * FROM counted_rows WHERE record_type = 'measurement' AND run_id NOT IN (SELECT run_id FROM measurements WHERE vector_retry > 0)
UNION ALL
SELECT * FROM counted_rows WHERE record_type = 'measurement' AND run_id IN (SELECT run_id FROM measurements WHERE vector_retry > 0)
QUALIFY coalesce(vector_retry, 0) = min(coalesce(vector_retry, 0)) OVER (PARTITION BY run_id, step_path, vector_index, measurement_name));

-- As litmus capability, of first attempts, from 10 values on that are not all equal: Pp and Ppk by the standard deviation of all values (n - 1), Cp and Cpk by
-- the mean moving range of two. The intervals are Bissell's for 95 %. Other limits or units make a row of their own; a low limit above the high one has no index.
CREATE OR REPLACE TEMP VIEW capability AS
SELECT * EXCLUDE (is_able), CASE WHEN is_able AND sd > 0 THEN (limit_high - limit_low) / (6 * sd) END AS pp,
       CASE WHEN is_able AND sd > 0 THEN least((limit_high - mean) / (3 * sd), (mean - limit_low) / (3 * sd)) END AS ppk,
       ppk - 1.959963984540054 * sqrt(1 / (9.0 * n) + ppk * ppk / (2.0 * (n - 1))) AS ppk_low,
       ppk + 1.959963984540054 * sqrt(1 / (9.0 * n) + ppk * ppk / (2.0 * (n - 1))) AS ppk_high,
       CASE WHEN is_able AND sd_within > 0 THEN (limit_high - limit_low) / (6 * sd_within) END AS cp,
       CASE WHEN is_able AND sd_within > 0 THEN least((limit_high - mean) / (3 * sd_within), (mean - limit_low) / (3 * sd_within)) END AS cpk,
       cpk - 1.959963984540054 * sqrt(1 / (9.0 * n) + cpk * cpk / (1.21 * (n - 1))) AS cpk_low,
       cpk + 1.959963984540054 * sqrt(1 / (9.0 * n) + cpk * cpk / (1.21 * (n - 1))) AS cpk_high
FROM (SELECT *, n >= 10 AND coalesce(limit_low <= limit_high, true) AS is_able FROM (
      SELECT dut_part_number, step_path, measurement_name, measurement_units, limit_low, limit_high, count(measurement_value) AS n,
             count(*) - count(measurement_value) AS without_value, count(*) FILTER (WHERE measurement_value < limit_low OR measurement_value > limit_high) AS outside,
             avg(measurement_value) AS mean, CASE WHEN count(measurement_value) > 1 THEN stddev_samp(measurement_value) END AS sd,
             avg(abs(measurement_value - before)) * sqrt(pi()) / 2 AS sd_within
      FROM (SELECT *, lag(measurement_value IGNORE NULLS) OVER (PARTITION BY dut_part_number, step_path, measurement_name, measurement_units, limit_low, limit_high
                                                                ORDER BY run_started_at, run_id, measurement_timestamp, vector_index) AS before
            FROM first_measurements WHERE limit_low IS NOT NULL OR limit_high IS NOT NULL) GROUP BY ALL));

-- Each value on the chart of individuals and that of moving ranges of its measurement, as litmus control --all: centre the mean, limits 3 deviations,
-- the deviation from the mean moving range of two. is_beyond: the first run rule.
CREATE OR REPLACE TEMP VIEW control AS
SELECT step_path, measurement_name, measurement_units, started_at, run_id, dut_serial, value, moving_range, avg(value) OVER series AS center,
       avg(moving_range) OVER series * sqrt(pi()) / 2 AS deviation, center - 3 * deviation AS lower, center + 3 * deviation AS upper,
       (1 + 3 * sqrt(pi() / 2 - 1)) * avg(moving_range) OVER series AS moving_range_upper, deviation > 0 AND abs(value - center) > 3 * deviation AS is_beyond
FROM (SELECT step_path, measurement_name, measurement_units, run_started_at AS started_at, run_id, dut_serial, measurement_timestamp, vector_index, measurement_value AS value,
             abs(value - lag(value) OVER (PARTITION BY step_path, measurement_name, measurement_units ORDER BY run_started_at, run_id, measurement_timestamp, vector_index)) AS moving_range
      FROM first_measurements WHERE measurement_value IS NOT NULL)
WINDOW series AS (PARTITION BY step_path, measurement_name, measurement_units);

-- How long steps took that ended, in seconds, as litmus durations: of the last execution; trend: seconds a week.
CREATE OR REPLACE TEMP VIEW durations AS
WITH counted AS MATERIALIZED (
SELECT step_path, any_value(step_name) AS step_name, any_value(parent_path) AS parent_path, count(*) AS n, quantile_cont(us, 0.5) / 1e6 AS median, quantile_cont(us, 0.9) / 1e6 AS p90,
       quantile_cont(us, 0.95) / 1e6 AS p95, quantile_cont(us, 0.99) / 1e6 AS p99, max(us) / 1e6 AS longest, sum(us) / 1e6 AS total, CASE WHEN max(run_started_at) > min(run_started_at) THEN regr_slope(us, epoch_us(run_started_at) - (SELECT min(epoch_us(run_started_at)) FROM litmus_run_rows)) * 604800 END AS trend
FROM (SELECT step_path, step_name, parent_path, run_started_at, epoch_us(step_ended_at) - epoch_us(step_started_at) AS us FROM counted_rows
      WHERE record_type = 'step' AND step_started_at IS NOT NULL AND step_ended_at IS NOT NULL)
GROUP BY step_path)
SELECT * EXCLUDE (parent_path, trend), total / nullif(sum(total) OVER (), 0) AS share, trend FROM counted WHERE coalesce(parent_path, '') NOT IN (SELECT step_path FROM counted WHERE step_path IS NOT NULL);

-- Steps that failed or errored in any attempt, by serial, and the runs of such units.
CREATE OR REPLACE TEMP VIEW litmus_failed_steps AS
SELECT DISTINCT trim(r.dut_serial) AS serial, step_path FROM litmus_step_others o JOIN litmus_step_runs r USING (run_id) WHERE list_has_any(attempt_outcomes, ['failed', 'errored'])
      AND coalesce(parent_path, '') NOT IN (SELECT step_path FROM litmus_step_paths WHERE step_path IS NOT NULL);

CREATE OR REPLACE TEMP VIEW litmus_failed_unit_steps AS
SELECT run_id, run_id AS run, started_at, dut_part_number, test_phase, serial, step_path FROM unit_runs JOIN litmus_failed_steps ON serial = trim(dut_serial);

-- A case: a planned step (each vector) of a unit that failed or errored in any attempt of any run, and what came of it, as litmus retest --all.
-- An execution without a verdict (skipped, done, cut off) mends nothing and spoils nothing. The values of a step are those of its sub-steps, too.
CREATE OR REPLACE TEMP VIEW retest AS
WITH ran AS (SELECT dut_part_number, test_phase, serial, step_path, vector_index, run AS run_id, started_at, [word FOR word IN attempt_outcomes IF word IN ('passed', 'failed', 'errored')][-1] AS verdict,
                    list_has_any(attempt_outcomes, ['failed', 'errored']) AS failed, list_contains(attempt_outcomes, 'passed') AS passed, sum(n) AS n
             FROM litmus_picked_steps('litmus_failed_unit_steps') WHERE list_has_any(attempt_outcomes, ['passed', 'failed', 'errored']) GROUP BY ALL HAVING sum(n) > 0),
     cases AS (SELECT dut_part_number, test_phase, serial, step_path, vector_index, sum(n)::BIGINT AS runs, litmus_count(n, failed) AS failed_runs, max(started_at) AS last_at,
                      arg_max(verdict, (started_at, run_id)) AS last_verdict, bool_or(failed AND passed) AS is_mixed,
                      list(run_id) FILTER (WHERE failed) AS bad FROM ran GROUP BY ALL HAVING failed_runs > 0),
     near AS (SELECT run_id, step_path, vector_index, bool_and(coalesce(measurement_value IS NOT NULL AND greatest(measurement_value - limit_high, limit_low - measurement_value, 0)
                     <= 0.05 * (1 + 1e-9) * coalesce(limit_high - limit_low, abs(limit_high), abs(limit_low)), false)) AS is_near
              FROM measurements WHERE measurement_outcome IN ('failed', 'errored') GROUP BY ALL),
     margins AS (SELECT c.dut_part_number, c.test_phase, c.serial, c.step_path, c.vector_index, bool_and(coalesce(is_near, false)) AS is_near
                 FROM (SELECT *, unnest(bad) AS run_id FROM cases) c LEFT JOIN near n
                      ON n.run_id = c.run_id AND (n.step_path = c.step_path OR starts_with(n.step_path, c.step_path || '/')) AND n.vector_index IS NOT DISTINCT FROM c.vector_index GROUP BY ALL)
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
     found AS MATERIALIZED (SELECT DISTINCT run AS run_id, step_path, parent_path, vector_index FROM litmus_step_counts('litmus_plan_runs')),
     plans AS MATERIALIZED (FROM found WHERE coalesce(parent_path, '') NOT IN (SELECT step_path FROM found WHERE step_path IS NOT NULL))
SELECT c.run_id, c.started_at, c.git_commit, c.before_id, 'joined' AS change, p.step_path, p.vector_index FROM changed c JOIN plans p ON p.run_id = c.run_id
WHERE NOT EXISTS (SELECT 1 FROM plans o WHERE o.run_id = c.before_id AND o.step_path = p.step_path AND o.vector_index IS NOT DISTINCT FROM p.vector_index)
UNION ALL
SELECT c.run_id, c.started_at, c.git_commit, c.before_id, 'left', p.step_path, p.vector_index FROM changed c JOIN plans p ON p.run_id = c.before_id
WHERE NOT EXISTS (SELECT 1 FROM plans o WHERE o.run_id = c.run_id AND o.step_path = p.step_path AND o.vector_index IS NOT DISTINCT FROM p.vector_index);

-- ---- Macros: figures that are about something. FROM compare('station=bench-1', 'station=bench-2'), FROM grr('rail_1v8', chosen := 'lot=MSA-3').

-- Whether a run is chosen by NAME=VALUE, several joined by commas, as litmus compare has it; '' chooses all.
CREATE OR REPLACE TEMP MACRO litmus_chooses(chosen, run) AS
len([word FOR word IN string_split(chosen, ',') IF NOT coalesce(CASE WHEN chosen = '' THEN true ELSE CASE split_part(word, '=', 1)
    WHEN 'part' THEN run.dut_part_number = substr(word, 6) WHEN 'lot' THEN run.dut_lot_number = substr(word, 5) WHEN 'station' THEN run.station_id = substr(word, 9)
    WHEN 'phase' THEN run.test_phase = substr(word, 7) WHEN 'operator' THEN run.operator_id = substr(word, 10) WHEN 'project' THEN run.project_name = substr(word, 9)
    WHEN 'serial' THEN trim(run.dut_serial) = trim(substr(word, 8)) WHEN 'git' THEN starts_with(run.git_commit, substr(word, 5))
    ELSE error('"' || word || '" chooses no runs: write NAME=VALUE with serial, part, lot, station, operator, phase, project, git') END END, false)]) = 0;

-- Two-sided p of Fisher's exact test, as scipy.stats.fisher_exact: a passed of of_a, b of of_b.
CREATE OR REPLACE TEMP MACRO litmus_ln_choose(n, k) AS lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
CREATE OR REPLACE TEMP MACRO litmus_fisher(a, of_a, b, of_b) AS
CASE WHEN of_a > 0 AND of_b > 0 THEN least(1.0, list_sum([exp(ln_chance) FOR ln_chance IN
    [litmus_ln_choose(of_a, k) + litmus_ln_choose(of_b, a + b - k) - litmus_ln_choose(of_a + of_b, a + b) FOR k IN range(greatest(0, a + b - of_b)::BIGINT, least(a + b, of_a)::BIGINT + 1)]
    IF ln_chance <= litmus_ln_choose(of_a, a) + litmus_ln_choose(of_b, b) - litmus_ln_choose(of_a + of_b, a + b) + 1e-7])) END;

-- Regularised incomplete beta function by the tanh-sinh rule (Takahasi and Mori 1974): u = x / (1 + e), with e = exp(-pi sinh z).
CREATE OR REPLACE TEMP MACRO litmus_beta(x, a, b) AS
CASE WHEN x <= 0 THEN 0.0 WHEN x >= 1 THEN 1.0 ELSE least(1.0, list_sum([
    exp(a * (ln(x) - ln(1 + exp(-w))) + (b - 1) * ln((1 - x) + x / (1 + exp(w))) - ln(1 + exp(w)) + lgamma(a + b) - lgamma(a) - lgamma(b)) * sqrt(w * w + pi() * pi()) / 64
    FOR w IN [pi() * (exp(k / 64.0) - exp(-k / 64.0)) / 2 FOR k IN range(-384, 385)]])) END;
CREATE OR REPLACE TEMP MACRO litmus_t_p(t, freedom) AS litmus_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5);
CREATE OR REPLACE TEMP MACRO litmus_f_p(f, above, below) AS litmus_beta(below / (below + above * f), below / 2.0, above / 2.0);
-- Two-sided p of the normal distribution: of small z by its series, else by the integral of Craig (1991), which is periodic, so that equal steps are exact.
CREATE OR REPLACE TEMP MACRO litmus_normal_p(z) AS
CASE WHEN z <= 0 THEN 1.0 WHEN z < 1 THEN 1 - exp(-z * z / 2) * list_sum([exp((2 * n + 1) * ln(z) - (n + 0.5) * ln(2) - lgamma(n + 1.5)) FOR n IN range(24)])
     ELSE list_avg([exp(-z * z / (2 * sin((k + 0.5) * pi() / 256) ** 2)) FOR k IN range(256)]) END;

-- First pass, then step by step, as litmus compare. holm: corrected for the number of steps (Holm 1979). Steps with a verdict in one set only come last, without p.
CREATE OR REPLACE TEMP MACRO compare(set_a, set_b) AS TABLE
WITH sets AS MATERIALIZED (SELECT r.run_id, r.outcome, u.try, litmus_chooses(set_a, r) AS is_a, litmus_chooses(set_b, r) AS is_b
                           FROM runs r LEFT JOIN unit_runs u USING (run_id) WHERE r.left_out IS NULL OR r.left_out IN ('no serial', 'no verdict')),
     counted AS (SELECT NULL AS step_path, NULL AS parent_path, outcome = 'passed' AS has_passed, is_a, is_b FROM sets WHERE try = 1
                 UNION ALL
                 SELECT step_path, parent_path, coalesce(attempt_outcomes[1], vector_outcome) = 'passed', is_a, is_b FROM counted_steps JOIN sets USING (run_id)
                 WHERE coalesce(attempt_outcomes[1], vector_outcome) NOT IN ('skipped', 'done')),
     sums AS MATERIALIZED (SELECT step_path, any_value(parent_path) AS parent_path, count(*) FILTER (WHERE is_a AND has_passed) AS a_passed, count(*) FILTER (WHERE is_a) AS a_of,
                     count(*) FILTER (WHERE is_b AND has_passed) AS b_passed, count(*) FILTER (WHERE is_b) AS b_of FROM counted GROUP BY step_path),
     tested AS (SELECT *, litmus_fisher(a_passed, a_of, b_passed, b_of) AS p FROM sums
                WHERE step_path IS NULL OR (a_of > 0 OR b_of > 0) AND coalesce(parent_path, '') NOT IN (SELECT step_path FROM sums WHERE step_path IS NOT NULL))
SELECT CASE WHEN step_path IS NULL THEN 'first pass' ELSE 'step' END AS what, step_path, a_passed, a_of, b_passed, b_of, p,
       CASE WHEN step_path IS NOT NULL AND p IS NOT NULL THEN max(least(1.0, (steps - place) * p)) OVER (PARTITION BY step_path IS NULL ORDER BY place) END AS holm
FROM (SELECT *, row_number() OVER (PARTITION BY step_path IS NULL ORDER BY p, step_path) - 1 AS place, count(p) OVER (PARTITION BY step_path IS NULL) AS steps FROM tested)
ORDER BY what, p NULLS LAST, step_path;

-- Two samples of each series, by Welch's t test and that of Mann and Whitney (normal, corrected for ties and continuity). `found` names a table or view:
-- measurement_name, step_path, measurement_units, value, is_a, is_b. (favg: the difference of two means is small beside them.)
CREATE OR REPLACE TEMP MACRO litmus_sample_tests(found) AS TABLE
WITH tied AS (SELECT measurement_name, step_path, measurement_units, value, count(*) FILTER (WHERE is_a) AS a, count(*) FILTER (WHERE is_b) AS b FROM query_table(found) GROUP BY ALL),
     ranked AS (SELECT measurement_name, step_path, measurement_units, a, a + b AS alike, sum(a + b) OVER (PARTITION BY measurement_name, step_path, measurement_units ORDER BY value) AS last FROM tied),
     ranks AS (SELECT measurement_name AS name, step_path AS path, measurement_units AS units, sum(a * (last - (alike - 1) / 2)) AS a_ranks, sum(alike * (alike * alike - 1.0)) AS ties
               FROM ranked GROUP BY ALL),
     sums AS (SELECT measurement_name, step_path, measurement_units, count(*) FILTER (WHERE is_a) AS a_n, favg(value) FILTER (WHERE is_a) AS a_mean,
                     count(*) FILTER (WHERE is_b) AS b_n, favg(value) FILTER (WHERE is_b) AS b_mean,
                     CASE WHEN a_n > 1 AND b_n > 1 THEN stddev_samp(value) FILTER (WHERE is_a) END AS a_sd, CASE WHEN a_n > 1 AND b_n > 1 THEN stddev_samp(value) FILTER (WHERE is_b) END AS b_sd
              FROM query_table(found) GROUP BY ALL HAVING a_n > 0 AND b_n > 0),
     tested AS (SELECT *, a_sd * a_sd / a_n AS va, b_sd * b_sd / b_n AS vb, a_ranks - a_n * (a_n + 1) / 2 AS u, a_n * b_n / 12 * (a_n + b_n + 1 - ties / ((a_n + b_n) * (a_n + b_n - 1.0))) AS spread
                FROM sums JOIN ranks ON name IS NOT DISTINCT FROM measurement_name AND path IS NOT DISTINCT FROM step_path AND units IS NOT DISTINCT FROM measurement_units)
SELECT measurement_name, step_path, measurement_units, a_n, a_mean, a_sd, b_n, b_mean, b_sd,
       CASE WHEN va + vb > 0 THEN (a_mean - b_mean) / sqrt(va + vb) END AS welch_t,
       CASE WHEN va + vb > 0 THEN litmus_t_p((a_mean - b_mean) / sqrt(va + vb), (va + vb) ** 2 / (va * va / (a_n - 1) + vb * vb / (b_n - 1))) END AS welch_p,
       CASE WHEN va + vb > 0 THEN u END AS mann_whitney_u,
       CASE WHEN va + vb > 0 THEN litmus_normal_p(greatest(0, greatest(u, a_n * b_n - u) - a_n * b_n / 2 - 0.5) / sqrt(spread)) END AS mann_whitney_p
FROM tested;

-- Measured values of first attempts, as litmus compare.
CREATE OR REPLACE TEMP MACRO compare_values(set_a, set_b) AS TABLE
WITH compared_values AS (SELECT measurement_name, step_path, measurement_units, measurement_value AS value, is_a, is_b
                         FROM first_measurements JOIN (SELECT run_id, litmus_chooses(set_a, r) AS is_a, litmus_chooses(set_b, r) AS is_b FROM runs r WHERE is_a OR is_b) USING (run_id)
                         WHERE measurement_value IS NOT NULL)
FROM litmus_sample_tests('compared_values') ORDER BY welch_p, measurement_name, step_path;

-- Gauge R&R, as litmus grr: components of variance of the units measured by each operator ("by" another of the columns of a run). Golden units are in.
CREATE OR REPLACE TEMP MACRO grr(measurement, who := 'operator', chosen := '') AS TABLE
WITH taken AS MATERIALIZED (
         SELECT trim(m.dut_serial) AS unit, CASE who WHEN 'operator' THEN m.operator_id WHEN 'station' THEN m.station_id WHEN 'fixture' THEN m.fixture_id END AS person, m.run_started_at, m.measurement_value AS value, limit_low, limit_high, m.step_path, measurement_units,
                row_number() OVER (PARTITION BY unit, person ORDER BY m.run_started_at, m.run_id, measurement_timestamp, vector_retry, vector_index) AS trial
         FROM measurements m JOIN runs r USING (run_id)
         WHERE measurement_name = measurement AND abs(m.measurement_value) < 1e150 AND unit <> '' AND person IS NOT NULL AND litmus_chooses(chosen, r)
               AND (r.left_out IS NULL OR r.left_out IN ('golden unit', 'no verdict'))),
     cells AS (SELECT unit, person, count(*) AS trials FROM taken GROUP BY ALL),
     size AS (SELECT count(DISTINCT unit) AS a, count(DISTINCT person) AS b, min(trials) AS n, count(*) AS filled,
                     (SELECT count(DISTINCT (step_path, coalesce(measurement_units, ''))) FROM taken) AS series FROM cells),
     good AS (SELECT *, CASE WHEN who NOT IN ('operator', 'station', 'fixture') THEN error('grr by "' || who || '": it takes operator, station or fixture')
                             WHEN series > 1 THEN error('the measurement is of several steps or units: choose runs') WHEN a < 2 OR b < 2 THEN error('a study needs two units and two operators at least')
                             WHEN filled < a * b THEN error('the study is not crossed: a unit was never measured by one of them') WHEN n < 2 THEN error('a study needs two trials in each cell at least')
                             ELSE true END AS is_good FROM size),
     means AS (SELECT value, avg(value) OVER () AS mean, avg(value) OVER (PARTITION BY unit) AS of_unit, avg(value) OVER (PARTITION BY person) AS of_person,
                      avg(value) OVER (PARTITION BY unit, person) AS of_cell FROM taken WHERE trial <= (SELECT n FROM good WHERE is_good)),
     sums AS (SELECT count(*) * (2e-15 * max(abs(value))) ** 2 AS rounding, sum((of_unit - mean) ** 2) AS u, sum((of_person - mean) ** 2) AS w,
                     sum((of_cell - of_unit - of_person + mean) ** 2) AS i, sum((value - of_cell) ** 2) AS e FROM means),
     squares AS (SELECT CASE WHEN u > rounding THEN u ELSE 0 END AS u, CASE WHEN w > rounding THEN w ELSE 0 END AS w, CASE WHEN i > rounding THEN i ELSE 0 END AS i,
                        CASE WHEN e > rounding THEN e ELSE 0 END AS e FROM sums),
     tested AS (SELECT *, (a - 1) * (b - 1) AS fi, a * b * (n - 1) AS fe, CASE WHEN e > 0 THEN litmus_f_p(i / fi / (e / fe), fi, fe) > 0.25 ELSE false END AS pooled FROM squares, good),
     mean_squares AS (SELECT *, u / (a - 1) AS mu, w / (b - 1) AS mw, CASE WHEN pooled THEN (e + i) / (fe + fi) ELSE e / fe END AS me, CASE WHEN pooled THEN me ELSE i / fi END AS mi FROM tested),
     parts AS (SELECT me AS repeatability, greatest(0, (mw - mi) / (a * n)) AS person, CASE WHEN pooled THEN 0 ELSE greatest(0, (mi - me) / n) END AS interaction,
                      greatest(0, (mu - mi) / (b * n)) AS unit, repeatability + person + interaction + unit AS total FROM mean_squares)
SELECT source, variance, sqrt(variance) AS deviation, variance / nullif(total, 0) AS contribution, sqrt(variance / nullif(total, 0)) AS study,
       6 * sqrt(variance) / (SELECT nullif(arg_max(limit_high - limit_low, run_started_at), 0) FROM taken) AS tolerance
FROM (SELECT total, unnest(['grr', 'repeatability', 'reproducibility', 'operator', 'interaction', 'unit', 'total']) AS source,
             unnest([repeatability + person + interaction, repeatability, person + interaction, person, interaction, unit, total]) AS variance FROM parts);
