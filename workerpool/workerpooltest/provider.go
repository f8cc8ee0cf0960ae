package workerpooltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/workerpool"
)

// Provider is a [workerpool.InstanceSet] and the [workerpool.Executor] of its instances.
type Provider struct {
	clock quartz.Clock

	mu         sync.Mutex
	knobs      Knobs
	number     int
	instances  map[workerpool.InstanceID]*instance
	creates    []time.Time
	calls      map[string]int
	runs       map[workerpool.JobID]int
	violations []string
	released   chan struct{}
	peak       int
}

type instance struct {
	workerpool.Instance
	group     string
	createdAt time.Time
	// leavesAt is when it is gone. crashed: its commands fail, and unless frozen it is gone.
	leavesAt        time.Time
	crashed, frozen bool
	jobs            map[workerpool.JobID]*execution
}

// execution is a job on an instance.
type execution struct {
	begun, ends time.Time
	killed      bool
	exit        int
}

func (e *execution) over(now time.Time) bool { return !e.ends.IsZero() && !now.Before(e.ends) }

// NewProvider returns a provider without instances. The clock may be nil: then it is the real one, or the bubble's.
func NewProvider(clock quartz.Clock) *Provider {
	if clock == nil {
		clock = quartz.NewReal()
	}
	return &Provider{
		clock: clock, instances: make(map[workerpool.InstanceID]*instance), calls: make(map[string]int),
		runs: make(map[workerpool.JobID]int), released: make(chan struct{}),
	}
}

// Configure changes the knobs.
func (p *Provider) Configure(change func(*Knobs)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.knobs)
}

// Release ends all commands that hang deafly, now and later.
func (p *Provider) Release() { close(p.released) }

// Crash ends an instance: it is listed no more, and what ran on it is gone.
func (p *Provider) Crash(id workerpool.InstanceID) {
	p.with(id, func(in *instance) { in.crashed = true })
}

// Freeze lets all commands on an instance fail, while it stays listed and its jobs run on; Thaw ends that.
func (p *Provider) Freeze(id workerpool.InstanceID) {
	p.with(id, func(in *instance) { in.frozen = true })
}

// Thaw ends a freeze.
func (p *Provider) Thaw(id workerpool.InstanceID) {
	p.with(id, func(in *instance) { in.frozen = false })
}

func (p *Provider) with(id workerpool.InstanceID, do func(*instance)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.instances[id]; in != nil {
		do(in)
	}
}

// Instances returns those that exist, by id.
func (p *Provider) Instances() []workerpool.Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []workerpool.Instance
	for _, in := range p.living() {
		list = append(list, in.Clone())
	}
	return list
}

// Calls returns how often each operation was called: "create", "list", "destroy", "set_tags", "boot", and the runner's
// "list_jobs", "start", "kill" and "forget".
func (p *Provider) Calls(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[operation]
}

// Peak returns the most instances that existed at once.
func (p *Provider) Peak() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}

// Runs returns how often a job was started, on any instance.
func (p *Provider) Runs(id workerpool.JobID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs[id]
}

// Running returns the jobs that run on an instance.
func (p *Provider) Running(id workerpool.InstanceID) []workerpool.JobID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []workerpool.JobID
	if in := p.instances[id]; in != nil && !in.crashed {
		for j, e := range in.jobs {
			if !e.over(p.clock.Now()) {
				list = append(list, j)
			}
		}
	}
	slices.Sort(list)
	return list
}

// Violations lists what must never happen: a job that runs on two instances at once, an instance destroyed under a job.
func (p *Provider) Violations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.violations)
}

// Adopt adds an instance that somebody else created, with jobs that run on it.
func (p *Provider) Adopt(in workerpool.Instance, jobs ...workerpool.JobID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	added := &instance{Instance: in.Clone(), group: in.ProviderType, createdAt: p.clock.Now(), jobs: make(map[workerpool.JobID]*execution)}
	for _, id := range jobs {
		p.begin(added, id)
	}
	p.instances[in.ID] = added
}

// living are the instances that exist. The caller holds the lock.
func (p *Provider) living() []*instance {
	now := p.clock.Now()
	var list []*instance
	for _, id := range slices.Sorted(maps.Keys(p.instances)) {
		in := p.instances[id]
		if in.crashed || !in.leavesAt.IsZero() && !now.Before(in.leavesAt) {
			delete(p.instances, id)
			continue
		}
		list = append(list, in)
	}
	return list
}

// wait lets a call take its time.
func (p *Provider) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := p.clock.NewTimer(d, "workerpooltest")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (p *Provider) called(operation string) Knobs {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[operation]++
	return p.knobs
}

// Create implements [workerpool.InstanceSet].
func (p *Provider) Create(ctx context.Context, order workerpool.Order) (workerpool.Instance, error) {
	k := p.called("create")
	if k.SameID != "" {
		return workerpool.Instance{ID: k.SameID}, nil
	}
	p.mu.Lock()
	in, err := p.create(order)
	p.mu.Unlock()
	if waited := p.wait(ctx, k.CreateDelay); waited != nil || err != nil { // a refusal takes its time too
		return workerpool.Instance{}, cmp.Or(err, waited)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.LoseAnswer != nil && k.LoseAnswer(order) {
		return workerpool.Instance{}, errors.New("the answer is lost")
	}
	return in, nil
}

// create makes the instance exist at the beginning of the call: a listing may show it before the call returns. The
// caller holds the lock.
func (p *Provider) create(order workerpool.Order) (workerpool.Instance, error) {
	now := p.clock.Now()
	k := &p.knobs
	if k.CreateError != nil {
		if err := k.CreateError(order); err != nil {
			return workerpool.Instance{}, err
		}
	}
	if err := p.throttle(now); err != nil {
		return workerpool.Instance{}, err
	}
	group, ofType := 0, 0
	living := p.living()
	for _, in := range living {
		if in.group == order.Type.QuotaGroup {
			group++
		}
		if in.ProviderType == order.Type.ProviderType {
			ofType++
		}
	}
	if n, ok := k.Quota[order.Type.QuotaGroup]; ok && group >= n {
		return workerpool.Instance{}, fmt.Errorf("create: %w", &QuotaError{order.Type.QuotaGroup})
	}
	if n, ok := k.Capacity[order.Type.ProviderType]; ok && ofType >= n {
		return workerpool.Instance{}, fmt.Errorf("create: %w", &CapacityError{order.Type.ProviderType, k.CapacityScope})
	}
	p.number++
	in := workerpool.Instance{
		ID:      workerpool.InstanceID(fmt.Sprintf("i-%05d", p.number)),
		Address: fmt.Sprintf("10.%d.%d.%d", p.number>>16&255, p.number>>8&255, p.number&255), ProviderType: order.Type.ProviderType,
		Tags: p.kept(order.Tags),
	}
	p.instances[in.ID] = &instance{
		Instance: in.Clone(), group: order.Type.QuotaGroup, createdAt: now, jobs: make(map[workerpool.JobID]*execution),
	}
	p.peak = max(p.peak, len(living)+1)
	return in, nil
}

func (p *Provider) throttle(now time.Time) error {
	k := &p.knobs
	if k.RateLimit == 0 {
		return nil
	}
	p.creates = slices.DeleteFunc(p.creates, func(at time.Time) bool { return now.Sub(at) >= k.RateWindow })
	if len(p.creates) >= k.RateLimit {
		retry := p.creates[0].Add(k.RateWindow)
		if k.RateSilent {
			retry = time.Time{}
		}
		return &RateLimitError{retry}
	}
	p.creates = append(p.creates, now)
	return nil
}

// kept are tags as the provider keeps them.
func (p *Provider) kept(tags map[string]string) map[string]string {
	kept := maps.Clone(tags)
	for key, value := range kept {
		if n := p.knobs.TagBytes; n > 0 && len(value) > n {
			kept[key] = value[:n]
		}
	}
	return kept
}

// List implements [workerpool.InstanceSet]. It shows what exists when the call begins.
func (p *Provider) List(ctx context.Context, tags map[string]string) ([]workerpool.Instance, error) {
	k := p.called("list")
	if k.ListError != nil {
		return nil, k.ListError
	}
	p.mu.Lock()
	if now := p.clock.Now(); now.Before(k.ListRetryAt) {
		p.mu.Unlock()
		return nil, &RateLimitError{k.ListRetryAt}
	}
	var list []workerpool.Instance
	for _, in := range p.living() {
		hidden := k.ListOmit != nil && k.ListOmit(in.ID) || p.clock.Now().Sub(in.createdAt) < k.ListLag
		if !hidden && matches(in.Tags, tags) {
			shown := in.Clone()
			shown.Leaving = !in.leavesAt.IsZero()
			list = append(list, shown)
		}
	}
	if p.knobs.ListEmpty > 0 {
		p.knobs.ListEmpty--
		list = nil
	}
	p.mu.Unlock()
	if k.ListTwice {
		list = append(list, list...)
	}
	list = append(list, k.ListExtra...)
	return list, p.wait(ctx, k.ListDelay)
}

func matches(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

// Destroy implements [workerpool.InstanceSet].
func (p *Provider) Destroy(ctx context.Context, id workerpool.InstanceID) error {
	k := p.called("destroy")
	if err := p.wait(ctx, k.CallDelay); err != nil {
		return err
	}
	if k.DestroyError != nil {
		return k.DestroyError
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.living()
	in := p.instances[id]
	switch {
	case in == nil:
		return &AbsentError{id}
	case p.knobs.DestroyIgnored > 0:
		p.knobs.DestroyIgnored--
		return nil
	}
	now := p.clock.Now()
	for j, e := range in.jobs {
		if !e.over(now) && !e.killed && !in.frozen {
			p.violations = append(p.violations, fmt.Sprintf("%s was destroyed under job %s", id, j))
		}
	}
	if in.leavesAt.IsZero() {
		in.leavesAt = now.Add(p.knobs.DestroyTakes)
	}
	return nil
}

// SetTags implements [workerpool.InstanceSet].
func (p *Provider) SetTags(ctx context.Context, id workerpool.InstanceID, tags map[string]string) error {
	k := p.called("set_tags")
	if err := p.wait(ctx, k.CallDelay); err != nil {
		return err
	}
	if k.TagError != nil {
		return k.TagError
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.instances[id]
	if in == nil {
		return &AbsentError{id}
	}
	if !k.TagsLost {
		maps.Copy(in.Tags, p.kept(tags))
	}
	return nil
}

// Run implements [workerpool.Executor]: "true" is the boot probe, all else is for the runner.
func (p *Provider) Run(ctx context.Context, target workerpool.Target, command string, stdin io.Reader, stdout io.Writer) error {
	words := strings.Fields(command)
	name := "boot"
	if len(words) > 1 {
		name = words[1]
	}
	if name == "list" {
		name = "list_jobs"
	}
	k := p.called(name)
	if k.Panic {
		panic("the driver has a bug")
	}
	if k.Hang != nil && k.Hang(target.ID, command) {
		if k.Deaf {
			<-p.released
			return errors.New("released")
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if err := p.wait(ctx, k.CommandTime); err != nil {
		return err
	}
	if k.Flood > 0 {
		line := strings.Repeat("x", 1023) + "\n"
		for n := 0; n < k.Flood; n += len(line) {
			if _, err := io.WriteString(stdout, line); err != nil {
				return err
			}
		}
	}
	p.mu.Lock()
	answer, err := p.execute(target.ID, command, name, words)
	p.mu.Unlock()
	if err == nil {
		_, err = io.WriteString(stdout, answer)
	}
	return err
}

// execute does what a command asks for. The caller holds the lock.
func (p *Provider) execute(id workerpool.InstanceID, command, name string, words []string) (string, error) {
	p.living()
	in := p.instances[id]
	now := p.clock.Now()
	k := &p.knobs
	switch {
	case in == nil || in.frozen:
		return "", errors.New("connection refused")
	case now.Sub(in.createdAt) < k.BootTime || k.NeverReady != nil && k.NeverReady(id):
		return "", errors.New("connection refused: it boots")
	}
	if k.CommandError != nil {
		if err := k.CommandError(id, command); err != nil {
			return "", err
		}
	}
	switch name {
	case "boot":
		return "", nil
	case "list_jobs":
		return p.listJobs(in, now), nil
	}
	job := workerpool.JobID(words[2])
	switch name {
	case "start":
		return "", p.startJob(in, job)
	case "kill":
		return p.killJob(in, job, now), nil
	case "forget":
		if e := in.jobs[job]; e != nil && e.over(now) {
			delete(in.jobs, job)
		}
		return "", nil
	}
	return "", fmt.Errorf("%s: command not found", command)
}

func (p *Provider) listJobs(in *instance, now time.Time) string {
	var b strings.Builder
	if p.knobs.Garbage != "" {
		return p.knobs.Garbage
	}
	if p.knobs.Broken != nil && p.knobs.Broken(in.ID) {
		b.WriteString("broken\n")
	}
	for _, id := range slices.Sorted(maps.Keys(in.jobs)) {
		switch e := in.jobs[id]; {
		case !e.over(now):
			fmt.Fprintf(&b, "%s\n", id)
		case !p.knobs.ForgetEnds:
			fmt.Fprintf(&b, "%s exit %d\n", id, e.exit)
		}
	}
	return b.String()
}

func (p *Provider) startJob(in *instance, id workerpool.JobID) error {
	if k := p.knobs; k.StartError != nil {
		if err := k.StartError(id); err != nil {
			return err
		}
	}
	p.begin(in, id)
	if k := p.knobs; k.StartLost != nil {
		return k.StartLost(id)
	}
	return nil
}

// begin starts a job and looks whether it runs elsewhere.
func (p *Provider) begin(in *instance, id workerpool.JobID) {
	now := p.clock.Now()
	for _, other := range p.instances {
		if e := other.jobs[id]; e != nil && !e.over(now) && !other.crashed {
			p.violations = append(p.violations, fmt.Sprintf("job %s runs on %s and is started on %s", id, other.ID, in.ID))
		}
	}
	if !in.leavesAt.IsZero() {
		p.violations = append(p.violations, fmt.Sprintf("job %s is started on %s, which is leaving", id, in.ID))
	}
	p.runs[id]++
	e := &execution{begun: now, exit: p.knobs.ExitCode}
	d := p.knobs.JobTime
	if own, ok := p.knobs.JobTimes[id]; ok {
		d = own
	}
	if d > 0 {
		e.ends = now.Add(d)
	}
	in.jobs[id] = e
}

func (p *Provider) killJob(in *instance, id workerpool.JobID, now time.Time) string {
	e := in.jobs[id]
	switch {
	case e == nil:
		return ""
	case !e.over(now) && p.knobs.IgnoreKill != nil && p.knobs.IgnoreKill(id):
		e.killed = true
		return string(id) + "\n"
	case !e.over(now):
		e.killed, e.ends, e.exit = true, now, 143
	}
	return fmt.Sprintf("%s exit %d\n", id, e.exit)
}
