package acquirer

import (
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/text"
)

// shortage says what the workers of an organization lack for a job, in words that its tenant may read: the job's own tags
// and numbers of workers. Workers kept for one owner are not counted for another.
type shortage struct {
	workers    int
	otherTypes int
	reserved   int
	lacking    []lack
}

// lack is a tag of the job and how many workers do not have it.
type lack struct {
	tag     queue.Tag
	workers int
}

// shortageOf counts the workers of a lane's organization, busy ones included. The caller holds the lock.
func (a *Acquirer) shortageOf(l queue.Lane) shortage {
	var s shortage
	wanted := l.Tags.Map()
	add := func(d queue.Domain, n int) {
		if d.Organization != l.Organization || n == 0 || !visible(d.Tags.Map(), wanted) {
			return
		}
		s.add(d.Mismatch(l), n)
	}
	for _, w := range a.workers() {
		add(w.Domain, w.Waiting+w.Busy)
	}
	for _, p := range a.fleet.processes {
		if p.ID == a.member.process {
			continue
		}
		for _, w := range p.Workers {
			add(w.Domain, w.Waiting+w.Busy)
		}
	}
	return s
}

// visible reports whether whoever posted a job with these tags may know of a worker.
func visible(worker, job map[string]string) bool {
	return worker[queue.TagOwner] == "" || worker[queue.TagOwner] == job[queue.TagOwner]
}

func (s *shortage) add(m queue.Mismatch, n int) {
	s.workers += n
	switch {
	case m.OtherTypes != nil:
		s.otherTypes += n
		return
	case m.Reserved:
		s.reserved += n
		return
	}
	for _, tag := range m.Missing {
		s.lacks(tag, n)
	}
	for _, d := range m.Different {
		s.lacks(queue.Tag{Key: d.Key, Value: d.Job}, n)
	}
}

func (s *shortage) lacks(tag queue.Tag, n int) {
	for i := range s.lacking {
		if s.lacking[i].tag == tag {
			s.lacking[i].workers += n
			return
		}
	}
	s.lacking = append(s.lacking, lack{tag, n})
}

// String says it in a sentence without its end.
func (s shortage) String() string {
	if s.workers == 0 {
		return "the organization has no workers"
	}
	var parts []string
	say := func(workers int, one, many string) {
		if s.workers > 1 {
			one = text.Count(workers, one, many)
		}
		parts = append(parts, one)
	}
	if s.otherTypes > 0 {
		say(s.otherTypes, "runs jobs of other types", "run jobs of other types")
	}
	if s.reserved > 0 {
		say(s.reserved, "is kept for jobs with tags", "are kept for jobs with tags")
	}
	for _, l := range s.lacking {
		tag := queue.Quoted(l.tag.Key) + "=" + queue.Quoted(l.tag.Value)
		say(l.workers, "lacks "+tag, "lack "+tag)
	}
	if s.workers == 1 {
		return "the only worker " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("of %s workers %s", text.Number(s.workers), strings.Join(parts, ", "))
}
