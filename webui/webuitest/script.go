package webuitest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

var berlin = mustLoad("Europe/Berlin")

func mustLoad(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC // a machine without the zones: everything else is as it was
	}
	return loc
}

// idOf derives ids from names, so that the same script has the same ones.
func idOf(kind, name string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(kind+" "+name)) }

// script makes the fleet.
type script struct {
	now     time.Time
	random  *rand.Rand
	members []*member
}

func (s *script) from() time.Time { return s.now.Add(-past) }

var (
	first  = strings.Fields("amber birch cedar delta ember fern glade heron iris jade kelp linden maple nova opal pine quartz reed sage thorn umber vale willow xenon yarrow zephyr")
	second = strings.Fields("api web sim lab run map ops dev")
	names  = strings.Fields("mika odo tarn sol vesna rune kestrel fenn pax ilse bram cleo dario edda finn greta hugo ines jonas kira lars mona nils olga paul rosa sven tess ulf vera wim")
)

const hour, day = time.Hour, 24 * time.Hour

const everyDay schedule.Days = 1<<7 - 1

var weekdaysOnly = schedule.DaysOf(time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday)

func template(name string, p lifecycle.Policy) lifecycle.Template {
	p.AllowUserAutostart, p.AllowUserTTL = true, true
	if p.AutostartDays == 0 {
		p.AutostartDays = weekdaysOnly
	}
	return lifecycle.Template{ID: idOf("template", name), Name: name, ActiveVersionID: idOf("version", name), Policy: p}
}

func (s *script) people() {
	goDev := template("go-dev", lifecycle.Policy{
		DefaultTTL: 9 * hour, ActivityBump: hour, TimeTilDormant: 12 * day, TimeTilAutodelete: 30 * day,
		ReminderLead: 30 * time.Minute,
	})
	docs := template("docs", lifecycle.Policy{
		DefaultTTL: 4 * hour, ActivityBump: hour, TimeTilDormant: 8 * day, TimeTilAutodelete: 30 * day, ReminderLead: 30 * time.Minute,
		Retry: lifecycle.Retry{Max: 3},
	})
	gpu := template("ml-gpu", lifecycle.Policy{DefaultTTL: 12 * hour, MaxRuntime: 48 * hour, TimeTilDormant: 30 * day, AutostartDays: everyDay})
	workshop := template("workshop", lifecycle.Policy{DefaultTTL: 8 * hour, TimeTilDormant: 90 * day})
	workshop.Hold = lifecycle.Hold{Until: s.at(1, 8, 0), Rules: lifecycle.HoldStarts, Note: "the room is being rewired", By: "kestrel"}
	sandbox := template("sandbox", lifecycle.Policy{DefaultTTL: 3 * hour, DeleteStopped: 12 * hour})

	s.special(goDev, docs, gpu)
	s.braked(sandbox)
	for i := range 98 {
		s.add(goDev, s.name(i), "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00", s.works(0.8, 9, 18))
	}
	for i := range 48 {
		s.add(docs, s.name(100+i), "", s.works(0.6, 10, 15))
	}
	for i := range 28 {
		s.add(gpu, s.name(150+i), "", s.works(0.5, 12, 20))
	}
	for i := range 18 {
		s.add(workshop, fmt.Sprintf("seat-%02d", i+1), "Europe/Berlin Mon-Fri 09:00-17:00", s.works(0.3, 9, 16))
	}
	for i := range 4 {
		s.add(sandbox, fmt.Sprintf("sb-%d", 115+i), "", s.works(0.9, 9+i, 12+i))
	}
}

func (s *script) name(i int) string {
	return first[i%len(first)] + "-" + second[i/len(first)%len(second)]
}

// at is a time of a day, counted from today, on the clock of Berlin.
func (s *script) at(days, h, m int) time.Time {
	t := s.now.In(berlin)
	return time.Date(t.Year(), t.Month(), t.Day()+days, h, m, 0, 0, berlin).UTC()
}

// works are sessions on a share of the working days, from about one hour to about another.
func (s *script) works(share float64, from, to int) (list []forecast.Session) {
	from += s.random.IntN(2)
	idleSince := 0
	if s.random.IntN(8) == 0 {
		idleSince = 14 // does not come any more
	}
	for d := -int(past / day); d <= 0; d++ {
		weekday := s.at(d, 12, 0).Weekday()
		if d > -idleSince && idleSince > 0 || weekday == time.Saturday || weekday == time.Sunday || s.random.Float64() > share {
			continue
		}
		begin := s.at(d, from, s.random.IntN(50))
		end := s.at(d, to, s.random.IntN(50))
		list = append(list, forecast.Session{Begin: begin, End: end})
	}
	return list
}

// member makes a workspace that its owner starts three weeks ago.
func (s *script) member(t lifecycle.Template, name, hours string, sessions []forecast.Session) *member {
	from := s.from()
	owner := names[len(s.members)%len(names)]
	m := &member{sessions: sessions}
	m.Template, m.Owner = t, lifecycle.Owner{ID: idOf("owner", owner), Name: owner}
	m.Workspace = lifecycle.NewWorkspace(idOf("workspace", name), t, m.Owner.ID, name, from)
	if hours != "" {
		h, err := schedule.ParseHours(hours, schedule.Options{})
		if err != nil {
			panic(err) // the script is wrong
		}
		m.Workspace.Autostart, m.Workspace.Autostop = h.Autostart(), h.Autostop()
	}
	m.must(m.apply(lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil), from))
	s.members = append(s.members, m)
	return m
}

func (m *member) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("script of %s: %v", m.Workspace.Name, err))
	}
}

func (s *script) add(t lifecycle.Template, name, hours string, sessions []forecast.Session) *member {
	m := s.member(t, name, hours, sessions)
	m.run(s.from(), s.now)
	m.must(m.err)
	return m
}

// special are the workspaces with a story.
func (s *script) special(goDev, docs, gpu lifecycle.Template) {
	s.failing(docs)
	s.unmatched(gpu)
	s.held(gpu, docs)
	s.building(docs)

	juno := s.add(goDev, "lyra", "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00, Sat 10:00-14:00", s.works(1, 9, 12))
	s.own(juno, "juno")
	s.own(s.add(docs, "quill", "", []forecast.Session{{Begin: s.now.Add(-3*hour - 40*time.Minute), End: s.now.Add(-37 * time.Minute)}}), "juno")
	s.own(s.add(gpu, "pixel", "", nil), "juno")
	s.own(s.add(docs, "fjord", "", nil), "juno")
}

func (s *script) own(m *member, owner string) {
	m.Owner = lifecycle.Owner{ID: idOf("owner", owner), Name: owner}
	m.Workspace.OwnerID = m.Owner.ID
}

// failing has a start whose retries ended, stops that fail, and a stop that is put off.
func (s *script) failing(docs lifecycle.Template) {
	ci := template("ci", lifecycle.Policy{
		DefaultTTL: 9 * hour, TimeTilDormant: 12 * day, AutostartDays: everyDay, StartRetry: lifecycle.StartRetry{Max: 2},
	})
	atlas := s.member(ci, "atlas", s.hoursFrom(102*time.Minute, 6*hour), []forecast.Session{{Begin: s.at(-3, 9, 0), End: s.at(-3, 16, 0)}})
	atlas.build = func(w lifecycle.Snapshot) forecast.Outcome {
		if w.Build.Transition == lifecycle.TransitionStart && w.Build.CreatedAt.After(s.now.Add(-2*hour)) {
			return forecast.Outcome{Took: 40 * time.Second, Status: lifecycle.JobFailed}
		}
		return forecast.Outcome{Took: time.Minute, Status: lifecycle.JobSucceeded}
	}
	atlas.run(s.from(), s.now)
	paper := s.member(docs, "paper-fig", "", s.works(1, 9, 17))
	paper.build = func(w lifecycle.Snapshot) forecast.Outcome {
		if w.Build.Transition == lifecycle.TransitionStop && w.Build.CreatedAt.After(s.now.Add(-24*hour)) {
			return forecast.Outcome{Took: 30 * time.Second, Status: lifecycle.JobFailed}
		}
		return forecast.Outcome{Took: time.Minute, Status: lifecycle.JobSucceeded}
	}
	paper.sessions = []forecast.Session{{Begin: s.now.Add(-20 * hour), End: s.now.Add(-16 * hour)}}
	paper.run(s.from(), s.now)

	onyx := s.add(docs, "onyx", "", []forecast.Session{{Begin: s.now.Add(-3 * hour), End: s.now.Add(-2 * hour)}})
	due := s.now.Add(-17 * time.Minute)
	onyx.Build.Deadline, onyx.Workspace.RemindedFor = due, due
	onyx.record(onyx.Build)
	for _, at := range []time.Time{due.Add(time.Minute), s.now.Add(-time.Minute)} {
		onyx.take(lifecycle.Postpone(onyx.Snapshot, lifecycle.SkipRefused, "volume is busy", at))
	}
}

// hoursFrom are working hours of every day that began a while ago.
func (s *script) hoursFrom(ago, length time.Duration) string {
	from := s.now.In(berlin).Add(-ago)
	return fmt.Sprintf("Europe/Berlin Mon-Sun %s-%s", from.Format("15:04"), from.Add(length).Format("15:04"))
}

// unmatched has starts that no worker can take.
func (s *script) unmatched(gpu lifecycle.Template) {
	for i, name := range []string{"night-42", "fft-bench"} {
		m := s.member(gpu, name, s.hoursFrom(time.Duration(27-15*i)*time.Minute, 4*hour), nil)
		m.missing = queue.Tag{Key: "gpu", Value: "a100"}
		m.build = func(w lifecycle.Snapshot) forecast.Outcome {
			if w.Build.CreatedAt.After(s.now.Add(-40 * time.Minute)) {
				return forecast.Outcome{Took: 1000 * day, Status: lifecycle.JobSucceeded}
			}
			return forecast.Outcome{Took: time.Minute, Status: lifecycle.JobSucceeded}
		}
		m.run(s.from(), s.now)
	}
}

// held has holds with notes.
func (s *script) held(gpu, docs lifecycle.Template) {
	grid := s.add(gpu, "sim-grid", "", []forecast.Session{{Begin: s.now.Add(-11 * hour), End: s.now.Add(-10 * hour)}})
	grid.must(grid.apply(lifecycle.SetHold(lifecycle.Hold{Until: s.at(1, 18, 0), Rules: lifecycle.HoldStops, Note: "benchmark until tomorrow evening", By: "odo"}), s.now))
	thesis := s.add(docs, "thesis", "", nil)
	thesis.must(thesis.apply(lifecycle.SetHold(lifecycle.Hold{Until: s.at(44, 9, 0), Rules: lifecycle.HoldDormancy | lifecycle.HoldDeletion, Note: "on leave", By: "vesna"}), s.now))
	legal := s.add(docs, "legal-7", "", nil)
	legal.must(legal.apply(lifecycle.SetHold(lifecycle.Hold{Until: s.at(210, 9, 0), Rules: lifecycle.HoldAll, Note: "legal hold, case 7", By: "rune"}), s.now))
}

// braked has more deletions than the brake lets pass within an hour.
func (s *script) braked(sandbox lifecycle.Template) {
	for i := range 14 {
		m := s.member(sandbox, fmt.Sprintf("sb-%d", 201+i), "", []forecast.Session{{Begin: s.now.Add(-20 * hour), End: s.now.Add(-19 * hour)}})
		m.Template.Policy.DeleteStopped = 0 // it was set an hour ago: that is the mistake that the brake is for
		m.run(s.from(), s.now)
		m.Template = sandbox
		for range 8 {
			m.take(lifecycle.Postpone(m.Snapshot, lifecycle.SkipBrake, "more deletions within an hour than the brake lets pass", s.now.Add(-time.Minute)))
		}
	}
}

// building has builds that somebody asked for just now.
func (s *script) building(docs lifecycle.Template) {
	for i, name := range []string{"pebble", "tundra", "kiln"} {
		m := s.add(docs, name, "", []forecast.Session{{Begin: s.at(-2, 10, 0), End: s.at(-2, 11, 0)}})
		at := s.now.Add(-time.Duration(3+14*i) * time.Second)
		m.must(m.apply(lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil), at))
		if i > 0 {
			m.must(m.apply(lifecycle.JobStarted(m.Build.ID), at.Add(time.Second)))
		}
	}
}
