package storetest

import (
	"math"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobLogTests = []jobTest{
	{"Bound", logBound},
	{"LinesOfTheCaller", logOfTheCaller},
	{"OverAttempts", logOverAttempts},
	{"BoundOfOneRenewal", logOneRenewal},
	{"PruneLong", logPruneLong},
	{"FarNumbers", logFarNumbers},
}

// texts are the texts of a job's log.
func (k *jobKit) texts(j queue.Job) (texts []string) {
	for _, line := range k.lines(j.ID, 0, 1<<20) {
		texts = append(texts, line.Text)
	}
	return texts
}

func (k *jobKit) say(j queue.Job, bound int64, texts ...string) {
	k.t.Helper()
	r := queue.Renewal{Handout: k.handout(j), Process: k.process, MaxLog: bound}
	for _, text := range texts {
		r.Lines = append(r.Lines, queue.Line{At: k.now, Text: text})
	}
	k.must(k.renew(r).Err == nil, "a renewal with lines is accepted", "it was not")
}

func logBound(k *jobKit) {
	job := k.running()
	bound := 2*queue.LogSize("four") + queue.LogSize("1")
	k.say(job, bound, "four", "four")
	k.say(job, bound, "1")
	k.must(len(k.texts(job)) == 3, "a log takes lines up to its bound", "%q", k.texts(job))
	k.say(job, bound, "", "more")
	k.say(job, bound, "", "more")
	got := k.texts(job)
	k.must(len(got) == 4 && strings.Contains(got[3], "The log ends here"), "a log that has reached its bound takes one line that says so", "%q", got)
	k.say(job, 0, "free")
	k.must(len(k.texts(job)) == 5, "a renewal without a bound is not bounded", "%q", k.texts(job))
}

// logFarNumbers reads a log after numbers that no line has.
func logFarNumbers(k *jobKit) {
	job := k.running()
	k.say(job, 0, "one")
	for after, want := range map[int64]int{math.MinInt64: 1, -1: 1, math.MaxInt32: 0, math.MaxInt32 + 1: 0, math.MaxInt64: 0} {
		got := k.lines(job.ID, after, 9)
		k.must(len(got) == want, "a log is read after any number", "%d lines after %d", len(got), after)
	}
}

func logOverAttempts(k *jobKit) {
	job := k.running()
	bound := queue.LogSize("a") + queue.LogSize("b")
	k.say(job, bound, "a")
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued})
	job = k.claim(1, job)[0]
	k.say(job, bound, "b", "c")
	got := k.texts(job)
	k.must(len(got) == 3 && got[1] == "b" && strings.HasPrefix(got[2], "The log ends here"), "the bound is for all attempts together", "%q", got)
}

func logOneRenewal(k *jobKit) {
	job := k.running()
	bound := 3 * queue.LogSize("ab")
	k.say(job, bound, "ab", strings.Repeat("x", int(bound)), "ab", "ab")
	got := k.texts(job)
	k.must(len(got) == 2 && got[0] == "ab", "nothing is taken behind the line that exceeds the bound", "%q", got)
	lines := k.lines(job.ID, 0, 9)
	k.must(lines[1].Seq == lines[0].Seq+1 && lines[1].At.Equal(k.now), "the last line is numbered and dated like others", "%+v", lines)
}

func logPruneLong(k *jobKit) {
	const n = 25_000
	job := k.running()
	k.say(job, 0, make([]string, n)...)
	k.must(len(k.texts(job)) == n, "a log without a bound takes everything", "%d lines of %d", len(k.texts(job)), n)
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	short := k.running()
	k.say(short, 0, "a")
	k.end(queue.End{Handout: k.handout(short), Outcome: queue.OutcomeSucceeded})
	k.pass(time.Hour)
	pruned, err := k.store.PruneJobs(k.ctx, k.now, 10)
	k.noError(err, "PruneJobs")
	k.must(pruned == 2 && len(k.texts(job)) == 0 && len(k.texts(short)) == 0, "jobs are pruned with their lines, however many", "%d jobs, %d lines left", pruned, len(k.texts(job)))
}
