"""Contract of a Ledger on every kind of database: one class of tests, inherited by each."""

import itertools
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import optuna
import postgres
import pytest
import sqlalchemy as sa
from cut import CutError, counted
from formula import BASELINE, SPEC, FormulaLane, measure
from postgres import VARIABLE

from study.cli.backup import delete
from study.loop.budget import complete
from study.loop.confirmation import begin, begin_fresh
from study.loop.referee import Referee
from study.record import process
from study.record.backends.backend import DatabaseAwayError
from study.record.ledger import Ledger
from study.record.location import holds_study, studies
from study.record.rows import SILENT_RUN_S, Holder, Judgement, Plan, TrialSummary
from study.record.tables import LANE_GPUS, STUDIES_TABLE, by_user, judgements, measurements, runs
from study.spec import SpecError, StudySpec
from study.spec.sections import Confirm
from trainable.contract import Decision, StudyError, UserMetrics

PLACES = {"host": (socket, "gethostname"), "kernel": (process, "_kernel")}
HOLDER = Holder(run=1, lane="1.0", incarnation=1)
USER = UserMetrics("u7", 0.5, 0.3, 2.25, 4)


class LedgerContract:
    """`database` is the kind of database that has the record."""

    database: str

    @pytest.fixture
    def overrides(self, stored):
        return stored(self.database)

    @pytest.fixture
    def open_(self, tmp_path, overrides):
        """A function (name, *overrides) → the ledger of that study, opened anew."""
        opened = []

        def open_(name="formula", *more):
            spec = StudySpec.from_text(
                SPEC, where="test", overrides=[f"name={name}", "search.replicates=2", *overrides, *more]
            )
            opened.append(Ledger.open(spec, tmp_path / name, BASELINE))
            return opened[-1]

        yield open_
        for ledger in opened:
            ledger.close()

    def drive(self, ledger, turns=500):
        run = ledger.claim()
        referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)
        for _ in range(turns):
            lane.advance(referee.exchange)
            if referee.over is not None:
                break
        ledger.release(run, referee.over or "killed")

    def test_what_is_written_is_read_by_another_connection(self, open_, tmp_path):
        """Data are on disk and committed."""
        ledger = open_()
        lease = ledger.lease(*ledger.ask(), HOLDER, attempt=1)
        batch = [measure(lease.config, lease.trial, r, 1) for r in range(2)]
        users = {"trial": lease.trial, "replicate": 1, "epoch": 1} | asdict(USER)
        ledger.record([batch[0], replace(batch[1], users=(USER,))])
        judgement = Judgement(1, Decision(lease.trial, "go", "rung 1 epoch: rank 1 of 1, places 1"))
        ledger.judge(judgement)
        other = Ledger.read(tmp_path / "formula")
        assert list(other.measurements()) == batch
        assert other.by_user() == [users]
        assert other.judgements() == [judgement]
        (record,) = other.records()
        assert (record.config, record.holder, record.attempt) == (lease.config, HOLDER, 1)
        assert other.spec == ledger.spec
        assert other.baseline == BASELINE
        other.close()

    @pytest.mark.parametrize("named", [2, 1])
    def test_how_trials_stand_is_what_their_records_say(self, open_, monkeypatch, named):
        """Trials that run or have no values are included; only the requested trials are returned."""
        monkeypatch.setattr("study.record.reader._NAMED", named)
        ledger = open_()
        self.drive(ledger, turns=7)
        ledger._optuna.ask()  # a kill came before its values
        number, _ = ledger.ask()
        ledger.end(number, "fail", "loss not finite", epochs=1, point=None)
        records = {r.trial: r for r in ledger.records()}
        assert {r.state for r in records.values()} == {"running", "completed", "failed"}
        trial_summaries = {n: TrialSummary(r.state, r.reason, r.epochs, r.config) for n, r in records.items()}
        assert ledger.trial_summaries() == trial_summaries
        assert ledger.records({number, 0}) == [records[0], records[number]]
        assert ledger.records(set()) == []

    def test_gpus_of_a_lane_are_those_of_the_first_decision_in_every_stage(self, open_):
        """A confirmation, or a run on another day, trains on the same kind of device as the search."""
        ledger = open_()
        assert ledger.lane_gpus is None
        self.drive(ledger)
        ledger.decide(LANE_GPUS, 0.25)
        assert open_().lane_gpus == begin(ledger, Confirm(points=1, replicates=2)).lane_gpus == 0.25

    def test_the_origin_of_each_configuration_is_on_record(self, open_, tmp_path):
        """Catches: an origin that a kill during an ask loses, or that a confirmation makes up."""
        ledger = open_("formula", "search.explore=0.5", "search.initial=[{ sharing='both' }]")
        for _ in range(4):
            ledger.ask()
        number = ledger._optuna.ask().number  # a kill came before its values
        ledger.settle(number)
        wanted = ["initial", "random", "explore", "random", "explore"]
        other = Ledger.read(tmp_path / "formula")
        assert [r.origin for r in other.records()] == wanted
        other.close()
        self.drive(ledger)
        confirmation = begin(ledger, Confirm(points=1, replicates=2))
        confirmation.ask()
        assert [r.origin for r in confirmation.records()] == ["unknown"]

    def test_a_record_without_origins_is_read(self, open_):
        """Records of earlier versions: the origin is unknown, and nothing is guessed."""
        ledger = open_()
        ledger.ask()
        with ledger._engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM trial_user_attributes WHERE key = 'origin'"))
        assert [r.origin for r in ledger.records()] == ["unknown"]

    @pytest.mark.parametrize("replicates", [1, 2])
    def test_a_point_has_all_its_replicates(self, open_, replicates):
        """A point needs all its seeds; its mean has no other trial or epoch."""
        ledger = open_("formula", f"search.replicates={replicates}")
        (number, config), epochs = ledger.ask(), (1, 2)
        ledger.record(
            [measure(config, number, r, e) for e in epochs for r in range(replicates)][: 2 * replicates - 1]
        )
        assert [(p.trial, p.epoch) for p in ledger.points()] == [(number, 1)]
        ledger.record([measure(config, number, replicates - 1, 2)])
        for point in ledger.points():
            mrr = [measure(config, number, r, point.epoch).mrr for r in range(replicates)]
            assert point.mrr == pytest.approx(sum(mrr) / replicates, rel=1e-15)
        assert [p.epoch for p in ledger.points(until=1)] == [1]
        assert [p.epoch for p in ledger.points(epoch=2)] == [2]

    def test_the_first_of_equal_rows_wins(self, open_):
        """A repeated row neither raises nor overwrites."""
        ledger = open_()
        lease = ledger.lease(*ledger.ask(), HOLDER, attempt=1)
        first = measure(lease.config, lease.trial, 0, 1)
        ledger.record([replace(first, users=(USER,))])
        later = replace(first, mrr=0.9, users=(replace(USER, ratings=9),))
        ledger.record([later, measure(lease.config, lease.trial, 1, 1)])
        assert [row["ratings"] for row in ledger.by_user()] == [USER.ratings]
        assert next(ledger.measurements()) == first
        assert len(list(ledger.measurements())) == 2
        for verdict in ("stop", "go"):
            ledger.judge(Judgement(1, Decision(lease.trial, verdict, "the first")))
        assert [j.decision.verdict for j in ledger.judgements()] == ["stop"]

    def test_only_one_drives(self, open_):
        """Eight at once. Catches: an owner row that is looked up and then written."""
        ledgers = [open_() for _ in range(8)]

        def claim(ledger):
            try:
                return ledger.claim()
            except StudyError:
                return None

        with ThreadPoolExecutor(8) as pool:
            claimed = [run for run in pool.map(claim, ledgers) if run is not None]
        assert len(claimed) == 1
        assert [r.run for r in ledgers[0].runs() if r.ended is None] == claimed

    def test_process_can_claim_again_after_an_unwritten_end(self, open_):
        """As in a notebook, after Ctrl-C with a full disk.

        Catches: a study that is locked until the process ends, and another one that is lost to it.
        """
        ledger, beside = open_(), open_("beside")

        def fail(_connection, _cursor, statement, *_):
            if statement.startswith("UPDATE runs"):
                raise sa.exc.OperationalError(statement, {}, Exception("database or disk is full"))

        old, kept = ledger.claim(), beside.claim()
        sa.event.listen(ledger._engine, "before_cursor_execute", fail)
        with pytest.raises(sa.exc.OperationalError):
            ledger.release(old, "interrupted")
        sa.event.remove(ledger._engine, "before_cursor_execute", fail)
        assert open_().claim() > old
        assert [(r.reason, r.ended is None) for r in ledger.runs()] == [("died", False), (None, True)]
        with pytest.raises(StudyError, match="already being run"):
            open_("beside").claim()
        assert beside.owned(kept)

    # --- whose run it is ---------------------------------------------------------------------------------

    @pytest.fixture
    def elsewhere(self, open_, monkeypatch):
        """A function that changes where this process seems to be, and opens the study's ledger there."""

        def elsewhere(place, value):
            monkeypatch.setattr(*PLACES[place], lambda: value)
            return open_()

        return elsewhere

    def change(self, ledger, run, **values):
        with ledger._engine.begin() as connection:
            connection.execute(sa.update(runs).where(runs.c.run == run).values(**values))

    @pytest.mark.parametrize("place", ["host", "kernel"])
    def test_a_run_elsewhere_is_refused_until_the_owner_is_silent(self, open_, elsewhere, place):
        """Another host; another boot or container of this one.

        Catches: two drivers, and a dead one that keeps its study for ever.
        """
        driver = open_()
        run = driver.claim()
        other = elsewhere(place, "other")
        taken = (
            f"already being run by process {os.getpid()} on {driver.runs()[0].owner.host}; .* is free 60 s"
        )
        with pytest.raises(StudyError, match=taken):
            other.claim()
        self.change(other, run, heard=runs.c.heard - SILENT_RUN_S + 5)
        with pytest.raises(StudyError, match=taken):
            other.claim()
        self.change(other, run, heard=runs.c.heard - 5)
        assert other.claim() > run
        assert not driver.owned(run)
        assert not driver.renew(run)
        assert [(r.reason, r.ended is None) for r in driver.runs()] == [("died", False), (None, True)]

    @pytest.mark.parametrize("ago_s", [SILENT_RUN_S + 1, -7 * 3600])
    def test_a_renewal_is_a_sign_of_life(self, open_, elsewhere, ago_s):
        """The last renewal was long ago, or before the database's clock was set back.

        Catches: a run that is taken over although it renews its row, and one that is alive until the clock
        comes to where it was.
        """
        driver = open_()
        run = driver.claim()
        self.change(driver, run, heard=runs.c.heard - ago_s)
        other = elsewhere("host", "other")
        assert not other.runs()[0].alive
        assert driver.renew(run)
        assert other.runs()[0].alive

    def test_a_process_that_got_the_owners_number_does_not_own(self, open_):
        """As after a restart of a container. Catches: an owner judged by its number alone."""
        ledger = open_()
        run = ledger.claim()
        self.change(ledger, run, born=runs.c.born - 1)
        assert not ledger.runs()[0].alive
        assert ledger.claim() > run

    def test_silence_counts_if_process_start_times_are_unknown(self, open_, monkeypatch, tmp_path):
        """Without /proc the last renewal decides if an owner is alive."""
        monkeypatch.setattr(process, "PROC", tmp_path)
        ledger = open_()
        run = ledger.claim()
        with pytest.raises(StudyError, match="is free 60 s after its last sign of life"):
            ledger.claim()
        self.change(ledger, run, heard=runs.c.heard - SILENT_RUN_S - 1)
        assert ledger.claim() > run

    @pytest.mark.parametrize("jump_s", [-7 * 3600, 7 * 3600])
    def test_a_clock_that_is_set_changes_no_times_and_no_owner(self, open_, elsewhere, monkeypatch, jump_s):
        """The clock is set by hours while a study is driven.

        Catches: run rows told by a clock that can be set, and an owner that looks silent, or alive for ever,
        because it was.
        """
        real, ledger = time.time, open_()
        run = ledger.claim()
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        assert ledger.renew(run)
        other = elsewhere("host", "other")
        with pytest.raises(StudyError, match="already being run"):
            other.claim()
        self.change(ledger, run, heard=runs.c.heard - SILENT_RUN_S - 1)
        assert not other.runs()[0].alive
        ledger.release(run, "done")
        (driven,) = ledger.runs()
        assert 0 <= driven.ended - driven.started < 60

    def test_a_study_is_driven_to_its_end_and_confirmed(self, open_, tmp_path):
        """A later stage is not mixed into its search and does not end it."""
        ledger = open_("formula", "stopping.rule=pareto-asha", "stopping.min_epochs=1", "search.sampler=tpe")
        self.drive(ledger, turns=5)
        assert complete(ledger) is None
        again = open_("formula", "stopping.rule=pareto-asha", "stopping.min_epochs=1", "search.sampler=tpe")
        self.drive(again)
        assert complete(again) == "trials: 6 of 6"
        asked = Confirm(points=2, replicates=2)
        for name, plan in (("fresh", begin_fresh), ("confirm", begin)):
            assert again.later(name) is None
            stage = plan(again, asked)
            stage.fix(BASELINE)
            self.drive(stage, turns=1)
            assert complete(plan(again, asked)) is None
            self.drive(plan(again, asked))
            read = Ledger.read(tmp_path / "formula", stage=name)
            assert complete(read) is not None
            assert (read.stage, read.plan) == (name, stage.plan)
            assert (read.fresh(), read.confirmation()) == (None, None)
            assert complete(again) == "trials: 6 of 6"
            read.close()
        fresh = again.fresh()
        assert len(list(fresh.measurements())) == 3 * sum(p.epoch for p in fresh.plan.points)
        assert len(list(again.measurements())) == 2 * sum(r.epochs for r in again.records())

    def test_studies_beside_one_another_are_not_mixed(self, open_, tmp_path):
        """Each query selects its study, and a run stops only its own study."""
        ledgers = [open_(name) for name in ("one", "two")]
        for ledger, trials in zip(ledgers, (2, 3), strict=True):
            ledger.claim()
            for _ in range(trials):
                lease = ledger.lease(*ledger.ask(), HOLDER, attempt=1)
                ledger.record([measure(lease.config, lease.trial, 0, 1)])
        ledgers[0].request_stop()
        assert [len(ledger.records()) for ledger in ledgers] == [2, 3]
        assert [len(list(ledger.measurements())) for ledger in ledgers] == [2, 3]
        assert [r.stop for ledger in ledgers for r in ledger.runs()] == [True, False]
        assert studies(tmp_path) == [tmp_path / "one", tmp_path / "two"]

    def test_a_run_that_was_taken_over_stops_itself_alone(self, open_, elsewhere):
        """Ctrl-C at a driver that was taken over does not stop the next driver."""
        driver = open_()
        old = driver.claim()
        self.change(driver, old, heard=runs.c.heard - SILENT_RUN_S - 1)
        new = elsewhere("host", "other").claim()
        assert not driver.request_stop(old)
        assert not driver.stop_requested(new)
        assert driver.request_stop(new)
        assert driver.stop_requested(new)

    def test_another_question_and_other_data_are_refused(self, open_, tmp_path, overrides):
        """A record has trials of one question and one data set."""
        spec = open_().spec
        with pytest.raises(SpecError, match=r"train\.epochs: 4 → 5"):
            open_("formula", "train.epochs=5")
        with pytest.raises(StudyError, match="are not those that 'formula' began with"):
            Ledger.open(spec, tmp_path / "formula", replace(BASELINE, data={"sha256": "1"}))

    def test_an_erased_study_leaves_nothing(self, open_, tmp_path):
        """A new study of this name finds no rows, and the other study keeps its own."""
        kept, erased = open_("kept"), open_("erased")
        for ledger in (kept, erased):
            self.drive(ledger)
        fresh = begin_fresh(erased, Confirm(points=2, replicates=2))
        fresh.fix(BASELINE)
        self.drive(fresh)
        begin(erased, Confirm(points=2, replicates=2)).record(
            [replace(measure(erased.records()[0].config, 0, 0, 4), users=(USER,))]
        )
        erased.erase()
        with erased._engine.connect() as connection:
            for table in (measurements, by_user, judgements, runs):
                owners = set(connection.execute(sa.select(table.c.study).distinct()).scalars())
                assert owners <= {kept._id}
        assert complete(kept) == "trials: 6 of 6"
        assert len(list(kept.measurements())) == 6 * 4 * 2

    def test_an_erasing_that_is_cut_off_has_erased_nothing(self, open_, tmp_path, monkeypatch):
        """At whatever statement; the confirmation is cut off too, before its plan.

        Catches: a study that looks complete without a measurement, and one that no second try erases.
        """
        erased, cuts = open_("studies/erased", "name=erased"), 0
        self.drive(erased)
        with monkeypatch.context() as patch:
            patch.setattr(Plan, "as_dict", cut)
            with pytest.raises(CutError):
                begin(erased, Confirm(points=2, replicates=2))
        assert named(erased) == ["erased", "erased/confirm"]
        whole = erased.records(), list(erased.measurements()), named(erased)
        for most in itertools.count():
            try:
                with counted(most):
                    erased.erase()
            except CutError:
                cuts += 1
                assert (erased.records(), list(erased.measurements()), named(erased)) == whole
            else:
                break
        assert cuts > 15
        assert named(erased) == []
        monkeypatch.chdir(tmp_path)
        delete("erased", yes=True)  # the kill came before its folder was gone
        assert not (tmp_path / "studies/erased").exists()
        assert open_("studies/erased", "name=erased").records() == []

    def test_record_without_user_table_is_read_and_resumes(self, open_, tmp_path):
        """New tables are added to old records."""
        ledger = open_()
        lease = ledger.lease(*ledger.ask(), HOLDER, attempt=1)
        by_user.drop(ledger._engine)
        again = Ledger.read(tmp_path / "formula")
        assert again.by_user() == []
        again.record([replace(measure(lease.config, lease.trial, 0, 1), users=(USER,))])
        assert len(again.by_user()) == 1
        again.close()

    def test_delete_leaves_nothing_in_the_database(self, open_, tmp_path, monkeypatch):
        """The next run of this name begins anew."""
        self.drive(open_())
        open_().close()
        (tmp_path / "studies").mkdir()
        (tmp_path / "formula").rename(tmp_path / "studies" / "formula")
        monkeypatch.chdir(tmp_path)
        delete("formula", yes=True)
        assert not (tmp_path / "studies" / "formula").exists()
        assert open_().records() == []


def cut(*_):
    raise CutError


def named(ledger):
    """The names of the studies in a ledger's database."""
    with ledger._engine.connect() as connection:
        return sorted(connection.execute(sa.select(STUDIES_TABLE.c.study_name)).scalars())


class TestSQLite(LedgerContract):
    database = "sqlite"


@pytest.mark.postgres
class TestPostgreSQL(LedgerContract):
    database = "postgresql"

    def test_a_server_that_was_away_is_found_again(self, open_, postgres):
        """The pool drops its broken connections."""
        ledger = open_()
        ledger.ask()
        postgres.stop()
        with pytest.raises(sa.exc.OperationalError):
            ledger.records()
        postgres.start()
        assert len(ledger.records()) == 1

    def test_a_database_without_an_encoding_serves_too(self, open_, postgres, monkeypatch):
        """Text stays text, although psycopg returns bytes from a database in SQL_ASCII."""
        monkeypatch.setenv(VARIABLE, postgres.database(encoding="SQL_ASCII"))
        ledger = open_()
        self.drive(ledger)
        assert open_().spec == ledger.spec
        assert [r.state for r in ledger.records()] == ["completed"] * len(ledger.records())
        ledger.release(ledger.claim(), "λ ≥ ½")
        assert open_().runs()[-1].reason == "λ ≥ ½"

    def test_a_beginning_that_was_cut_off_is_begun_by_the_next_run(self, open_, monkeypatch):
        """A study without its facts does not count as one."""
        url = os.environ[VARIABLE]
        monkeypatch.setattr(optuna.Study, "set_user_attr", cut)
        with pytest.raises(CutError):
            open_()
        monkeypatch.undo()
        monkeypatch.setenv(VARIABLE, url)
        assert open_().baseline == BASELINE

    def test_the_password_is_nowhere_but_in_the_variable(self, open_, tmp_path, caplog):
        """It is in no file, table, spec, printed object or log."""
        ledger = open_()
        self.drive(ledger)
        texts = [repr(ledger.spec), ledger.spec.as_toml(), str(asdict(ledger.records()[0])), caplog.text]
        texts += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
        with ledger._engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                rows = connection.execute(sa.text(f'SELECT * FROM "{table}"'))
                texts += [str(row) for row in rows]
        assert not [text for text in texts if postgres.PASSWORD in text]

    def test_an_unreachable_server_is_said_without_its_password(self, tmp_path, monkeypatch):
        """psycopg's message, which quotes the URL, is not shown; the referee waits for the server."""
        monkeypatch.setenv(VARIABLE, f"postgresql://me:{postgres.PASSWORD}@127.0.0.1:9/none")
        spec = StudySpec.from_text(SPEC, where="test", overrides=[f"storage.url=env:{VARIABLE}"])
        with pytest.raises(
            DatabaseAwayError, match=r"at 127\.0\.0\.1, database none does not answer"
        ) as error:
            Ledger.open(spec, tmp_path / "formula", BASELINE)
        assert postgres.PASSWORD not in str(error.value)

    @pytest.mark.parametrize(
        "rest",
        [
            f"{postgres.PASSWORD}@127.0.0.1:54x2/none",
            f"{postgres.PASSWORD}@{postgres.PASSWORD}@127.0.0.1:9/none",
            postgres.PASSWORD,
        ],
    )
    def test_a_variable_with_no_url_is_named_and_not_quoted(self, tmp_path, monkeypatch, rest):
        """No parser quotes the URL or takes the end of a password for the host."""
        monkeypatch.setenv(VARIABLE, f"postgresql://me:{rest}")
        spec = StudySpec.from_text(SPEC, where="test", overrides=[f"storage.url=env:{VARIABLE}"])
        with pytest.raises(
            StudyError, match=rf"variable {VARIABLE} does not hold a URL like .* %40"
        ) as error:
            Ledger.open(spec, tmp_path / "formula", BASELINE)
        assert postgres.PASSWORD not in str(error.value)

    def test_a_variable_that_is_not_set_is_named(self, tmp_path):
        """No record begins elsewhere when the database is not named."""
        spec = StudySpec.from_text(SPEC, where="test", overrides=["storage.url=env:NOT_SET_HERE"])
        with pytest.raises(StudyError, match="environment variable NOT_SET_HERE is not set"):
            Ledger.open(spec, tmp_path / "formula", BASELINE)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{postgres.PASSWORD}@host/db",
        f"postgresql://host/db?password={postgres.PASSWORD}",
        f"mysql://me:{postgres.PASSWORD}@host/db",
        f"postgresql://me:{postgres.PASSWORD}@host",
        f"postgresql://me:{postgres.PASSWORD}/host/db",
        f"postgresql:me:{postgres.PASSWORD}@host/db",
        *(f"postgresql://me:pa{sign}{postgres.PASSWORD}@host/db" for sign in "/?#@:%["),
        f"postgresql://me:5432/{postgres.PASSWORD}@host/db",
        f"postgresql://host/db?sslmode=require&sslpassword={postgres.PASSWORD}",
        f"postgresql://host/db?PassWord={postgres.PASSWORD}",
        f"postgresql://host/db?pass%77ord={postgres.PASSWORD}",
        f"postgresql://host/db#?oauth_client_secret={postgres.PASSWORD}",
    ],
)
def test_a_spec_holds_no_password_and_does_not_repeat_one(url):
    """A password is copied neither into the record nor into the refusal."""
    with pytest.raises(SpecError, match=r"storage\.url") as error:
        StudySpec.from_text(SPEC, where="test", overrides=[f"storage.url='{url}'"])
    assert postgres.PASSWORD not in str(error.value)
    with pytest.raises(SpecError, match=r"storage\.url") as error:
        StudySpec.from_text(SPEC, where="test", overrides=[f"storage.url=['{url}']"])
    assert postgres.PASSWORD not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/db",
        "postgres://me@host:5432/db",
        "postgresql://me@[::1]:5432/db",
        "postgresql://me@10.0.0.7/db?sslmode=require",
        "postgresql:///db?host=/var/run/postgresql&application_name=study",
        "postgresql://me%40corp@host/db",
    ],
)
def test_a_url_without_a_password_is_taken_as_it_is(url):
    """A URL without a password is not refused."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=[f"storage.url='{url}'"])
    assert spec.storage.url == url


def test_a_record_is_not_left_behind_for_another_place(tmp_path):
    """A record in a file and a database in the spec do not make two half records."""
    spec = StudySpec.from_text(SPEC, where="test")
    Ledger.open(spec, tmp_path / "formula", BASELINE).close()
    moved = StudySpec.from_text(SPEC, where="test", overrides=[f"storage.url=env:{VARIABLE}"])
    with pytest.raises(StudyError, match=r"the record of formula is in .*ledger\.db"):
        Ledger.open(moved, tmp_path / "formula", BASELINE)
    assert holds_study(tmp_path / "formula")
