package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/words"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// theme is what a story is about. The order is that of the report.
type theme int

const (
	lostAndMissed theme = iota
	closeCall
	underTheHands
	stubborn
	forNobody
	justInTime
	clockChange
	longSleep
	patience
	marathon
	farewell
	themes
)

// stories in a report, and the candidates that are kept for each theme: the best may be about somebody who has one
// already.
const (
	storiesTold = 10
	storiesKept = 6
)

// story is something that happened to one workspace, and what Explain said of it at that moment.
type story struct {
	Title string
	Who   *developer
	At    time.Time
	Told  string
	Said  lifecycle.Explanation
	score float64
}

// When is the moment on the clock of the developer.
func (s *story) When() string { return s.At.In(s.Who.location).Format("Mon 2 January 2006, 15:04 MST") }

// Acting is the rule that acts, or acts next, in Explain's words.
func (s *story) Acting() string {
	for _, x := range s.Said.Rules {
		if x.Rule == s.Said.Next && x.Compared != "" {
			return fmt.Sprintf("%s %s: %s", x.Rule, x.Verdict, x.Compared)
		}
	}
	return ""
}

// stories keeps the best candidates of each theme.
type stories [themes][]story

// tell offers a story. Most are not kept, so its words are only found for those that are.
func (s *stories) tell(t theme, d *developer, score float64, words func() story) {
	kept := s[t]
	at := len(kept)
	for at > 0 && better(score, d, &kept[at-1]) {
		at--
	}
	if at >= storiesKept {
		return
	}
	told := words()
	told.Who, told.score = d, score
	kept = slices.DeleteFunc(slices.Insert(kept, at, told), repeats(d))
	s[t] = kept[:min(len(kept), storiesKept)]
}

// repeats says of each story but the first of a developer that it is one too many.
func repeats(d *developer) func(story) bool {
	seen := false
	return func(s story) bool {
		if s.Who != d {
			return false
		}
		again := seen
		seen = true
		return again
	}
}

func better(score float64, d *developer, than *story) bool {
	return score > than.score || score == than.score && d.index < than.Who.index
}

// best chooses the stories of the report, no two of one developer if that can be had.
func (s *stories) best() []story {
	var told []story
	used := map[*developer]bool{}
	for t := range s {
		for i := range s[t] {
			if !used[s[t][i].Who] || i == len(s[t])-1 {
				used[s[t][i].Who] = true
				told = append(told, s[t][i])
				break
			}
		}
	}
	return told[:min(len(told), storiesTold)]
}

// tellBuild looks at a decision on the way to its build.
func (r *replay) tellBuild(b *executor.BuildRequest) {
	d := r.byID[b.Snapshot.Workspace.ID]
	if d.workspace != b.Snapshot.Workspace.ID {
		return
	}
	switch b.Build.Reason {
	case lifecycle.ReasonAutostop:
		r.tellStop(d, b)
	case lifecycle.ReasonAutostart:
		d.idleStarts++
		r.tellClockChange(d, b)
	case lifecycle.ReasonDormancy:
		r.tellDormancy(d, b)
	case lifecycle.ReasonFailedCleanup:
		r.tellCleanup(d, b)
	case lifecycle.ReasonAutodelete:
		r.tellDelete(d, b)
	}
}

func (r *replay) said(b *executor.BuildRequest, title, told string, args ...any) story {
	return story{
		Title: title, Told: fmt.Sprintf(told, args...), At: b.Build.CreatedAt,
		Said: lifecycle.Explain(b.Snapshot, b.Build.CreatedAt),
	}
}

func (r *replay) tellStop(d *developer, b *executor.BuildRequest) {
	now, ran := b.Build.CreatedAt, b.Build.CreatedAt.Sub(b.Snapshot.Build.CompletedAt)
	if d.present {
		worked := now.Sub(d.sessions[d.next].begin)
		r.stories.tell(underTheHands, d, worked.Hours(), func() story {
			return r.said(b, "Stopped under their hands",
				"Developer %d had been at work for %s when the stop came: %s.", d.number, short(worked), whyStopped(b))
		})
		return
	}
	r.stories.tell(marathon, d, ran.Hours(), func() story {
		return r.said(b, "The longest run", "It ran for %s without a break before it stopped.", short(ran))
	})
}

// whyStopped says which of its bounds a deadline had reached.
func whyStopped(b *executor.BuildRequest) string {
	if s := &b.Snapshot.Build; s.Deadline.Equal(s.MaxDeadline) {
		return "its template asks for a stop in the quiet hours, whoever is at work"
	}
	return "its time was up, and activity did not move the deadline"
}

func (r *replay) tellClockChange(d *developer, b *executor.BuildRequest) {
	at := b.Decision.DueAt.In(d.location)
	before := at.AddDate(0, 0, -3)
	if offset(at) == offset(before) {
		return
	}
	r.stories.tell(clockChange, d, float64(len(d.commits)), func() story {
		return r.said(b, "The night the clocks changed",
			"%s started at %s on its owner's clock, as always; for a clock that is never changed that is %s %s than three days before.",
			b.Snapshot.Workspace.Name, at.Format("15:04"), short(time.Duration(abs(float64(offset(at)-offset(before))))*time.Second), earlier(offset(at) > offset(before)))
	})
}

func earlier(yes bool) string {
	if yes {
		return "earlier"
	}
	return "later"
}

func (r *replay) tellDormancy(d *developer, b *executor.BuildRequest) {
	r.stories.tell(forNobody, d, float64(d.idleStarts), func() story {
		return r.said(b, "Every morning for nobody",
			"It had started by its schedule %s since developer %d was last seen, before it was put to sleep.",
			words.Count(d.idleStarts, "time", "times"), d.number)
	})
}

func (r *replay) tellCleanup(d *developer, b *executor.BuildRequest) {
	n := b.Snapshot.Workspace.Failures
	r.stories.tell(stubborn, d, float64(n), func() story {
		return r.said(b, "It would not go down",
			"After the failed %s, cleaning up has failed too: this is attempt %d, and each waits longer than the one before.",
			b.Snapshot.Build.Transition, n+1)
	})
}

// tellDelete keeps the story of a deletion: whether it is a sad one is known when the developer comes back.
func (r *replay) tellDelete(d *developer, b *executor.BuildRequest) {
	asleep := b.Build.CreatedAt.Sub(b.Snapshot.Workspace.DormantAt)
	say := func() story {
		return r.said(b, "Put to rest", "%s of work, then silence: deleted after %s of sleep.",
			words.Count(d.next, "session", "sessions"), short(asleep))
	}
	s := say()
	s.Who = d
	d.farewell = &s
	r.stories.tell(farewell, d, float64(d.next), say)
}

// tellArrival looks at what a developer finds who comes to work.
func (r *replay) tellArrival(d *developer, s *lifecycle.Snapshot, f found, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch w := &s.Workspace; f {
	case foundDeleted:
		r.tellMissed(d, now)
	case foundDormant:
		asleep := now.Sub(w.DormantAt)
		r.stories.tell(longSleep, d, asleep.Hours(), func() story {
			return r.seen(s, now, "The longest sleep", "It had slept for %s when developer %d came back and woke it.", short(asleep), d.number)
		})
		if w.DeletingAt.IsZero() {
			return
		}
		left := w.DeletingAt.Sub(now)
		r.stories.tell(closeCall, d, -left.Hours(), func() story {
			return r.seen(s, now, "A close call", "Developer %d came back with %s left before it would have been deleted.", d.number, short(left))
		})
	}
}

func (r *replay) seen(s *lifecycle.Snapshot, now time.Time, title, told string, args ...any) story {
	return story{Title: title, Told: fmt.Sprintf(told, args...), At: now, Said: lifecycle.Explain(*s, now)}
}

// tellMissed turns a farewell into a loss.
func (r *replay) tellMissed(d *developer, now time.Time) {
	if d.farewell == nil {
		return
	}
	f := *d.farewell
	r.stories.tell(lostAndMissed, d, float64(d.next), func() story {
		f.Title = "Deleted, then missed"
		f.Told = fmt.Sprintf("%s Developer %d came back %s later, found nothing and had to begin anew. What Explain said when it was deleted:",
			f.Told, d.number, short(now.Sub(f.At)))
		return f
	})
}

// tellActivity looks for work that saved a workspace from a stop it had been warned of.
func (r *replay) tellActivity(d *developer, s *lifecycle.Snapshot, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.Build.Deadline.Equal(d.reminder) || !now.Before(d.reminder) {
		return
	}
	left := d.reminder.Sub(now)
	d.reminder = time.Time{}
	r.stories.tell(justInTime, d, -left.Seconds(), func() story {
		return r.seen(s, now, "Back just in time",
			"Its owner had been told of the stop; they were back %s before it, and their activity moved the deadline.", short(left))
	})
}

// finish tells what only the end shows.
func (r *replay) finish(ctx context.Context) {
	for _, d := range r.developers {
		if d.waits == 0 {
			continue
		}
		r.stories.tell(patience, d, float64(d.waits), func() story {
			s, err := r.exec.Load(ctx, d.workspace)
			if err != nil {
				return story{Title: "Patience", Told: err.Error(), At: r.end}
			}
			return r.seen(&s, r.end, "The most patient",
				"Developer %d came to work %s and found the workspace not ready %s. At the end:", d.number,
				words.Count(len(d.sessions), "time", "times"), words.Count(d.waits, "time", "times"))
		})
	}
}

// place is where the developer lives and what they got, in a few words.
func (s *story) Place(plans []plan) string {
	return strings.Join([]string{s.Said.Workspace, plans[s.Who.plan].name, s.Who.zone}, " · ")
}
