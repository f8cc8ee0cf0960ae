package dormouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// hostile is one input that nobody should give, and what becomes of it.
type hostile struct {
	name string
	do   func(h *harmed) error
	// field is that of the refusal, or err is what it must match, or accepted says why it is taken.
	field    string
	err      error
	accepted string
}

// harmed is the plane that the inputs go to, with a workspace that runs.
type harmed struct {
	context.Context
	*dormouse.Plane
	template dormouse.Template
	running  dormouse.Workspace
}

func newHarmed(t *testing.T) *harmed {
	t.Helper()
	p, err := dormouse.New(memory.New(), dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &harmed{Context: t.Context(), Plane: p}
	if h.template, err = p.PutTemplate(h, dormouse.Template{Name: "go-dev", Policy: policy}); err != nil {
		t.Fatal(err)
	}
	w, err := p.Create(h, dormouse.NewWorkspace{Template: h.template.ID, Owner: "ann", Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Start(h, w.ID); err != nil {
		t.Fatal(err)
	}
	ended := func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		return lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded})(s, now)
	}
	if h.running, err = p.Update(h, w.ID, ended); err != nil {
		t.Fatal(err)
	}
	return h
}

var (
	long    = strings.Repeat("x", 1<<20)
	texts   = map[string]string{"a megabyte": long, "a NUL": "a\x00b", "a line break": "a\nb", "an escape": "\x1b[31m", "not UTF-8": "\xff\xfe"}
	empties = map[string]string{"empty": "", "blanks": " \t ", "only a wide blank": "\u3000"}
	spans   = map[string]time.Duration{"negative": -1, "the least": math.MinInt64, "-1h": -time.Hour}
	short   = map[string]time.Duration{"a nanosecond": 1, "59 s": 59 * time.Second}
	instant = map[string]time.Time{
		"before the years": time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), "long ago": time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC),
		"1970": time.Unix(0, 0), "year 10000": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "the last of all": time.Unix(math.MaxInt64, 0),
	}
	crons = []string{
		"", " ", "never", "@hourly", "* * * *", "* * * * * *", "60 9 * * 1-5", "0 24 * * *", "-1 9 * * *", "0 9 32 * *", "0 9 * 13 *",
		"0 9 * * 8", "0 9 1 * *", "0 9 * 1 *", "CRON_TZ=Mars/Phobos 0 9 * * *", "CRON_TZ= 0 9 * * *", "TZ=../../etc/passwd 0 9 * * *",
		"CRON_TZ=Local 0 9 * * *", "0 9 * * 1-5\x00", "0 9 * * MON-MON-MON", "*/0 9 * * *", "0 9 * * 1;;drop table", "0 9 * * 5-1-5",
		"9999999999999999999 9 * * *", "0 9 * * ,", "\xff 9 * * *", strings.Repeat("0,", 100_000) + "0 9 * * *",
	}
)

func hostileInputs() (all []hostile) {
	refused := func(field, name string, do func(h *harmed) error) {
		all = append(all, hostile{name: name, do: do, field: field})
	}
	fails := func(err error, name string, do func(h *harmed) error) {
		all = append(all, hostile{name: name, do: do, err: err})
	}
	accepted := func(why, name string, do func(h *harmed) error) {
		all = append(all, hostile{name: name, do: do, accepted: why})
	}
	names(refused)
	policies(refused, accepted)
	schedules(refused, accepted)
	configs(refused)
	times(refused, fails, accepted)
	identities(fails, accepted)
	pages(refused, accepted)
	plans(refused, fails)
	holds(refused, fails)
	observations(refused, fails, accepted)
	foresight(refused, fails)
	fleets(refused, fails)
	return all
}

type (
	refusedFunc  = func(field, name string, do func(h *harmed) error)
	failsFunc    = func(err error, name string, do func(h *harmed) error)
	acceptedFunc = func(why, name string, do func(h *harmed) error)
)

// names are those of templates, owners and workspaces, which must not be empty, and what requests say of themselves.
func names(refused refusedFunc) {
	for name, text := range merge(texts, empties) {
		refused("Template.Name", "template named "+name, func(h *harmed) error {
			_, err := h.PutTemplate(h, dormouse.Template{Name: text})
			return err
		})
		refused("Owner.Name", "owner named "+name, func(h *harmed) error {
			_, err := h.PutOwner(h, dormouse.Owner{Name: text})
			return err
		})
		refused("NewWorkspace.Name", "workspace named "+name, func(h *harmed) error {
			_, err := h.Create(h, dormouse.NewWorkspace{Template: h.template.ID, Owner: "ann", Name: text})
			return err
		})
		refused("NewWorkspace.Owner", "workspace of "+name, func(h *harmed) error {
			_, err := h.Create(h, dormouse.NewWorkspace{Template: h.template.ID, Owner: text, Name: "x"})
			return err
		})
	}
	for name, text := range texts {
		refused("actor", "by "+name, func(h *harmed) error {
			_, err := h.Stop(h, h.running.ID, dormouse.By(text))
			return err
		})
		refused("note", "note "+name, func(h *harmed) error {
			_, err := h.Cancel(h, h.running.ID, dormouse.Note(text))
			return err
		})
		refused("ListQuery.Owner", "list of owner "+name, func(h *harmed) error {
			_, err := h.List(h, dormouse.ListQuery{Owner: text})
			return err
		})
	}
}

func merge(a, b map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func policies(refused refusedFunc, accepted acceptedFunc) {
	put := func(p dormouse.Policy) func(h *harmed) error {
		return func(h *harmed) error {
			_, err := h.PutTemplate(h, dormouse.Template{Name: "go-dev", Policy: p})
			return err
		}
	}
	thresholds := map[string]func(*dormouse.Policy) *time.Duration{
		"FailureTTL":        func(p *dormouse.Policy) *time.Duration { return &p.FailureTTL },
		"TimeTilDormant":    func(p *dormouse.Policy) *time.Duration { return &p.TimeTilDormant },
		"TimeTilAutodelete": func(p *dormouse.Policy) *time.Duration { return &p.TimeTilAutodelete },
		"ReminderLead":      func(p *dormouse.Policy) *time.Duration { return &p.ReminderLead },
	}
	others := map[string]func(*dormouse.Policy) *time.Duration{
		"DefaultTTL":        func(p *dormouse.Policy) *time.Duration { return &p.DefaultTTL },
		"ActivityBump":      func(p *dormouse.Policy) *time.Duration { return &p.ActivityBump },
		"MaxLateness":       func(p *dormouse.Policy) *time.Duration { return &p.MaxLateness },
		"Jitter":            func(p *dormouse.Policy) *time.Duration { return &p.Jitter },
		"Retry.Initial":     func(p *dormouse.Policy) *time.Duration { return &p.Retry.Initial },
		"Retry.MaxInterval": func(p *dormouse.Policy) *time.Duration { return &p.Retry.MaxInterval },
	}
	for field, of := range thresholds {
		for name, d := range short {
			p := policy
			*of(&p) = d
			refused("Template.Policy."+field, field+" of "+name, put(p))
		}
		others[field] = of
	}
	for field, of := range others {
		for name, d := range spans {
			p := policy
			*of(&p) = d
			refused("Template.Policy."+field, field+" "+name, put(p))
		}
	}
	p := policy
	p.AutostartDays = 0xff
	refused("Template.Policy.AutostartDays", "an eighth day", put(p))
	p = policy
	p.Requirement = schedule.Requirement{Days: 0x80}
	refused("Template.Policy.Requirement.Days", "a required stop on an eighth day", put(p))
	p = policy
	p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1000}
	refused("Template.Policy.Requirement.Weeks", "a required stop every 1000 weeks", put(p))
	p = policy
	p.Retry.Max = -1
	refused("Template.Policy.Retry.Max", "retries -1", put(p))
	p = policy
	p.Retry.Initial = 48 * time.Hour
	refused("Template.Policy.Retry.Initial", "first pause longer than the longest", put(p))
	refused("Template.Organization", "template of somebody else", func(h *harmed) error {
		_, err := h.PutTemplate(h, dormouse.Template{Name: "x", Organization: uuid.New()})
		return err
	})
	accepted("a policy without any rule does nothing by itself", "the zero policy", put(dormouse.Policy{}))
}

func schedules(refused refusedFunc, accepted acceptedFunc) {
	for _, text := range crons {
		name := fmt.Sprintf("%.40q", text)
		if text == "" {
			accepted("an empty schedule is none", "schedule "+name, func(h *harmed) error {
				_, err := h.SetSchedule(h, h.running.ID, dormouse.Schedule{Autostart: text})
				return err
			})
			continue
		}
		refused("Schedule.Autostart", "schedule "+name, func(h *harmed) error {
			_, err := h.SetSchedule(h, h.running.ID, dormouse.Schedule{Autostart: text})
			return err
		})
		refused("NewWorkspace.Autostart", "created with schedule "+name, func(h *harmed) error {
			_, err := h.Create(h, dormouse.NewWorkspace{Template: h.template.ID, Owner: "ann", Name: "x", Autostart: text})
			return err
		})
		refused("Owner.QuietHours", "quiet hours "+name, func(h *harmed) error {
			_, err := h.PutOwner(h, dormouse.Owner{Name: "ann", QuietHours: text})
			return err
		})
	}
	for _, text := range []string{
		"always", "Mon-Fri", "09:00-18:00", "Mon 18:00-18:00", "Mon 25:00-26:00", "Mon 09:00-18:00, Mon 10:00-11:00", "Mars Mon 09:00-18:00",
		"Europe/Berlin Moon 09:00-18:00", "Mon 09:00", "Mon -1:00-2:00", strings.Repeat("Mon 09:00-18:00, ", 10_000), "Mon 09:00-18:00\x00",
	} {
		refused("Schedule.Hours", fmt.Sprintf("hours %.40q", text), func(h *harmed) error {
			_, err := h.SetSchedule(h, h.running.ID, dormouse.Schedule{Hours: text})
			return err
		})
	}
	accepted("blanks are no hours", "hours of blanks", func(h *harmed) error {
		_, err := h.SetSchedule(h, h.running.ID, dormouse.Schedule{Hours: " "})
		return err
	})
	refused("Schedule.Hours", "hours beside a schedule", func(h *harmed) error {
		_, err := h.SetSchedule(h, h.running.ID, dormouse.Schedule{Hours: "Mon 09:00-18:00", Autostart: "0 9 * * 1"})
		return err
	})
	refused("Owner.Status", "a status that does not exist", func(h *harmed) error {
		_, err := h.PutOwner(h, dormouse.Owner{Name: "ann", Status: 200})
		return err
	})
}

func configs(refused refusedFunc) {
	of := func(cfg dormouse.Config) func(*harmed) error {
		return func(*harmed) error {
			_, err := dormouse.New(memory.New(), cfg)
			return err
		}
	}
	build := func(context.Context, *dormouse.Build) error { return nil }
	refused("Config.Workers", "workers -1", of(dormouse.Config{Workers: -1}))
	refused("Config.Workers", "workers without a build", of(dormouse.Config{Workers: 1}))
	refused("Config.Workers", "a million workers", of(dormouse.Config{Workers: 1e6, Build: build}))
	refused("Config.Retention", "negative retention", of(dormouse.Config{Retention: -1}))
	refused("Config.Sweep", "negative sweep", of(dormouse.Config{Sweep: -1}))
	refused("store", "no store", func(*harmed) error { _, err := dormouse.New(nil, dormouse.Config{}); return err })
	refused("Config.TuneExecutor", "a poster beside the queue", of(dormouse.Config{TuneExecutor: func(c *executor.Config) {
		c.Poster = func(context.Context, lifecycle.Event) error { return nil }
	}}))
	for field, set := range map[string]func(*executor.Config){
		"Interval": func(c *executor.Config) { c.Interval = -1 }, "PageSize": func(c *executor.Config) { c.PageSize = -1 },
		"BatchSize": func(c *executor.Config) { c.BatchSize = -1 }, "Concurrency": func(c *executor.Config) { c.Concurrency = -1 },
		"MaxTransitions": func(c *executor.Config) { c.MaxTransitions = -1 }, "RelayInterval": func(c *executor.Config) { c.RelayInterval = -1 },
	} {
		refused("Config."+field, "executor with "+field+" -1", of(dormouse.Config{TuneExecutor: set}))
	}
	for field, set := range map[string]func(*acquirer.Config){
		"Batch": func(c *acquirer.Config) { c.Batch = -1 }, "Poll": func(c *acquirer.Config) { c.Poll = -1 },
		"Lease": func(c *acquirer.Config) { c.Lease = 1 },
	} {
		refused("Config."+field, "acquirer with a bad "+field, of(dormouse.Config{TuneAcquirer: set}))
	}
	for field, set := range map[string]func(*worker.Config){
		"Slots": func(c *worker.Config) { c.Slots = -1 }, "Drain": func(c *worker.Config) { c.Drain = -1 },
		"Types": func(c *worker.Config) { c.Types = nil }, "Flush": func(c *worker.Config) { c.Flush = -1 },
	} {
		refused("Config."+field, "worker with a bad "+field, of(dormouse.Config{Build: build, TuneWorker: set}))
	}
}

func times(refused refusedFunc, fails failsFunc, accepted acceptedFunc) {
	for name, d := range map[string]time.Duration{
		"-1": -1, "1 ns": 1, "59 s": 59 * time.Second, "31 days": 31 * 24 * time.Hour, "the most": math.MaxInt64, "the least": math.MinInt64,
	} {
		refused("ttl", "ttl "+name, func(h *harmed) error { _, err := h.SetTTL(h, h.running.ID, d); return err })
		refused("NewWorkspace.TTL", "created with ttl "+name, func(h *harmed) error {
			_, err := h.Create(h, dormouse.NewWorkspace{Template: h.template.ID, Owner: "ann", Name: "x", TTL: d})
			return err
		})
	}
	for name, at := range instant {
		refused("deadline", "extended to "+name, func(h *harmed) error { _, err := h.Extend(h, h.running.ID, at); return err })
		hold := func(h *harmed) error { _, err := h.Hold(h, h.running.ID, dormouse.Hold{Until: at}); return err }
		if at.Year() >= 1 && at.Year() <= 9999 {
			accepted("a hold that has ended is none", "held until "+name, hold)
		} else {
			refused("Hold.Until", "held until "+name, hold)
		}
		accepted("activity of the past changes nothing, and of the future counts as now", "used at "+name, func(h *harmed) error {
			h.Activity(h.running.ID, at)
			return h.Executor().FlushActivity(h)
		})
	}
	refused("deadline", "extended to the zero time", func(h *harmed) error { _, err := h.Extend(h, h.running.ID, time.Time{}); return err })
	refused("deadline", "extended to now", func(h *harmed) error { _, err := h.Extend(h, h.running.ID, time.Now()); return err })
	accepted("the zero time ends a hold", "held until the zero time", func(h *harmed) error {
		_, err := h.Hold(h, h.running.ID, dormouse.Hold{})
		return err
	})
	tomorrow := time.Now().Add(24 * time.Hour)
	refused("Hold.Rules", "a hold of rules that do not exist", func(h *harmed) error {
		_, err := h.Hold(h, h.running.ID, dormouse.Hold{Until: tomorrow, Rules: 0xff})
		return err
	})
	refused("Hold.Note", "a hold with a megabyte of reasons", func(h *harmed) error {
		_, err := h.Hold(h, h.running.ID, dormouse.Hold{Until: tomorrow, Note: long})
		return err
	})
	fails(lifecycle.ErrBuildActive, "stopped while it starts again", func(h *harmed) error {
		if _, err := h.Restart(h, h.running.ID); err != nil {
			return err
		}
		_, err := h.Stop(h, h.running.ID)
		return err
	})
}

func identities(fails failsFunc, accepted acceptedFunc) {
	for name, id := range map[string]uuid.UUID{"the nil id": uuid.Nil, "the max id": uuid.Max, "an unknown id": uuid.New()} {
		for verb, do := range map[string]func(h *harmed) error{
			"start":    func(h *harmed) error { _, err := h.Start(h, id); return err },
			"stop":     func(h *harmed) error { _, err := h.Stop(h, id); return err },
			"restart":  func(h *harmed) error { _, err := h.Restart(h, id); return err },
			"delete":   func(h *harmed) error { _, err := h.Delete(h, id); return err },
			"cancel":   func(h *harmed) error { _, err := h.Cancel(h, id); return err },
			"wake":     func(h *harmed) error { _, err := h.Wake(h, id); return err },
			"get":      func(h *harmed) error { _, err := h.Get(h, id); return err },
			"explain":  func(h *harmed) error { _, err := h.Explain(h, id); return err },
			"builds":   func(h *harmed) error { _, err := h.Builds(h, id, 0, 0); return err },
			"template": func(h *harmed) error { _, err := h.Template(h, id); return err },
			"plan":     func(h *harmed) error { _, err := h.Plan(h, id, dormouse.PolicyChange{}); return err },
			"create": func(h *harmed) error {
				_, err := h.Create(h, dormouse.NewWorkspace{Template: id, Owner: "ann", Name: "x"})
				return err
			},
		} {
			fails(lifecycle.ErrNotFound, verb+" "+name, do)
		}
		accepted("activity is noted before anybody looks, and dropped if nobody is there", "activity of "+name, func(h *harmed) error {
			h.Activity(id, time.Now())
			return h.Executor().FlushActivity(h)
		})
		accepted("a build without a log and one that is not kept any more look the same", "log of "+name, func(h *harmed) error {
			_, err := h.Log(h, id, 0, 0)
			return err
		})
	}
	fails(dormouse.ErrExists, "an id that is taken", func(h *harmed) error {
		_, err := h.Create(h, dormouse.NewWorkspace{ID: h.running.ID, Template: h.template.ID, Owner: "eve", Name: "api"})
		return err
	})
}

func pages(refused refusedFunc, accepted acceptedFunc) {
	for _, limit := range []int{-1, 1001, math.MaxInt, math.MinInt} {
		refused("ListQuery.Limit", fmt.Sprint("list of ", limit), func(h *harmed) error {
			_, err := h.List(h, dormouse.ListQuery{Limit: limit})
			return err
		})
		refused("limit", fmt.Sprint("builds of ", limit), func(h *harmed) error {
			_, err := h.Builds(h, h.running.ID, 0, limit)
			return err
		})
		refused("limit", fmt.Sprint("log of ", limit), func(h *harmed) error { _, err := h.Log(h, uuid.New(), 0, limit); return err })
		refused("limit", fmt.Sprint("templates of ", limit), func(h *harmed) error { _, err := h.Templates(h, uuid.Nil, limit); return err })
		refused("limit", fmt.Sprint("owners of ", limit), func(h *harmed) error { _, err := h.Owners(h, uuid.Nil, limit); return err })
		refused("limit", fmt.Sprint("processes of ", limit), func(h *harmed) error { _, err := h.Processes(h, uuid.Nil, limit); return err })
	}
	for name, text := range texts {
		refused("CountQuery.Owner", "count of owner "+name, func(h *harmed) error {
			_, err := h.Count(h, dormouse.CountQuery{Owner: text})
			return err
		})
	}
	for field, q := range map[string]dormouse.ListQuery{
		"ListQuery.Statuses":   {Statuses: []lifecycle.Status{99}},
		"ListQuery.Order":      {Order: 9},
		"ListQuery.NamePrefix": {NamePrefix: "a"},
		"ListQuery.AfterName":  {AfterName: "a"},
		"ListQuery.DueBy":      {DueBy: time.Unix(0, 0)},
		"ListQuery.AfterWake":  {Order: lifecycle.ListByWake, After: uuid.Max},
	} {
		refused(field, "a list without sense in "+field, func(h *harmed) error { _, err := h.List(h, q); return err })
	}
	for name, text := range map[string]string{"a NUL": "a\x00", "no UTF-8": "\xff"} {
		refused("ListQuery.NamePrefix", "names that begin with "+name, func(h *harmed) error {
			_, err := h.List(h, dormouse.ListQuery{Order: lifecycle.ListByName, NamePrefix: text})
			return err
		})
	}
	refused("ListQuery.DueBy", "what is due in the year 10000", func(h *harmed) error {
		_, err := h.List(h, dormouse.ListQuery{Order: lifecycle.ListByWake, DueBy: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
		return err
	})
	refused("before", "builds before -1", func(h *harmed) error { _, err := h.Builds(h, h.running.ID, -1, 0); return err })
	refused("after", "log after -1", func(h *harmed) error { _, err := h.Log(h, uuid.New(), -1, 0); return err })
	refused("store", "a transaction of no store", func(h *harmed) error { _, err := h.WithTx(nil); return err })
	refused("verb", "no verb", func(h *harmed) error { _, err := h.Update(h, h.running.ID, nil); return err })
	accepted("an option that is nil says nothing", "a nil option", func(h *harmed) error {
		_, err := h.Start(h, h.running.ID, nil)
		return err
	})
	accepted("a page after the last id is empty", "list after the max id", func(h *harmed) error {
		_, err := h.List(h, dormouse.ListQuery{After: uuid.Max})
		return err
	})
	accepted("an owner that nobody knows has no workspaces", "list of an unknown owner", func(h *harmed) error {
		_, err := h.List(h, dormouse.ListQuery{Owner: "nobody"})
		return err
	})
}

func plans(refused refusedFunc, fails failsFunc) {
	refused("Policy.TimeTilDormant", "plan of a nanosecond", func(h *harmed) error {
		_, err := h.Plan(h, h.template.ID, dormouse.PolicyChange{Policy: dormouse.Policy{TimeTilDormant: 1}})
		return err
	})
	fails(lifecycle.ErrNotFound, "the zero plan", func(h *harmed) error {
		_, err := h.Apply(h, dormouse.PolicyPlan{}, nil)
		return err
	})
	fails(lifecycle.ErrPolicyChanged, "a plan made before the policy changed", func(h *harmed) error {
		plan, err := h.Plan(h, h.template.ID, dormouse.PolicyChange{Policy: dormouse.Policy{DefaultTTL: time.Hour}})
		if err != nil {
			return err
		}
		other := policy
		other.DefaultTTL = 2 * time.Hour
		if _, err := h.PutTemplate(h, dormouse.Template{Name: "go-dev", Policy: other}); err != nil {
			return err
		}
		_, err = h.Apply(h, plan, nil)
		return err
	})
}

// Every hostile input is refused with field, value and rule, fails with an error that says what is wrong, or is accepted for
// a reason; and none of them panics.
func TestHostileInputs(t *testing.T) {
	all := hostileInputs()
	if len(all) < 200 {
		t.Errorf("only %d hostile inputs", len(all))
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			h := newHarmed(t)
			before, _ := h.Get(h, h.running.ID)
			err := c.do(h)
			var refused *invalid.Error
			switch {
			case c.field != "":
				if !errors.As(err, &refused) || refused.Field != c.field || refused.Rule == "" {
					t.Fatalf("%v, want a refusal of %s", err, c.field)
				}
				if len(err.Error()) > 1000 {
					t.Errorf("the refusal has %d bytes", len(err.Error()))
				}
				if after, _ := h.Get(h, h.running.ID); !reflect.DeepEqual(after, before) {
					t.Errorf("what was refused changed something: %+v, then %+v", before, after)
				}
			case c.err != nil:
				if !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				}
			case err != nil:
				t.Errorf("%v, but %s", err, c.accepted)
			}
		})
	}
	t.Logf("%d hostile inputs", len(all))
}
