package dormouse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
	"github.com/dormouse-go/dormouse/schedule"
)

// Pool is a pool of workspaces that run before somebody asks for them; see [Plane.Claim]. Every plane of a store should
// have the same pools.
type Pool struct {
	// Name identifies the pool among those of the plane's organization in the store. Required.
	Name string
	// Preset is a named way to build the template: a size of machine, a region, a set of parameters. What it means is the
	// host's, whose Config.Build sees it as [Build.Preset]. Pools of one Name and several presets are asked for by both, and
	// have members, sizes, metrics and failures of their own: NAME/PRESET is what they are called. Defaults to "".
	Preset string
	// Template is the id of what its workspaces are made from, TemplateName its name, if [Plane.PutTemplate] has chosen the id.
	// One of them is required. The workspaces follow the active version: those of an older one are replaced, and served
	// until the new ones run.
	Template     uuid.UUID
	TemplateName string
	// Size is how many are kept ready at any time, Busy asks for more at times. Defaults to 0: claims are cold then.
	Size int
	Busy []PoolHours
	// Ceiling bounds how many are kept ready when claims ask for more. Defaults to the largest size.
	Ceiling int
	// Claimed tells a workspace whom it belongs to, before it is handed out. It may be called again for the same one; an
	// error keeps it from being handed out, and the next claim with its key calls it again. Defaults to nil.
	Claimed func(ctx context.Context, w Workspace) error
	// Tune changes the configuration of the engine before it is made, for what this one has no field for. Defaults to nil.
	Tune func(*prewarm.Config)
}

// PoolHours asks for a size during a part of the week.
type PoolHours struct {
	// Hours are as in [Schedule]: "Europe/Berlin Mon-Fri 09:00-18:00". The workspaces run by the time they begin.
	Hours string
	Size  int
}

// Builds of pools wait behind all that people ask for, and hold no more than half of the slots that there are.
const (
	poolPriority = -1000
	poolShare    = 0.5
)

// pools are the pools of a plane, by the names of their engines.
type pools map[string]*pool

// engineName is what a pool is called in the store and the metrics.
func engineName(pool, preset string) string {
	if preset == "" {
		return pool
	}
	return pool + "/" + preset
}

type pool struct {
	Pool
	engine  *prewarm.Pool
	members *workspaces.Workspaces
	spec    prewarm.Spec // but for its version
}

// makePools makes the pools of the configuration. They need the executor.
func (p *Plane) makePools() error {
	p.pools = make(pools, len(p.cfg.Pools))
	for i, cfg := range p.cfg.Pools {
		made, err := p.makePool(cfg)
		if err != nil {
			p.pools.close()
			return invalid.Within(fmt.Sprintf("Config.Pools[%d]", i), err)
		}
		p.pools[cfg.engineName()] = made
	}
	return nil
}

// close takes the metrics of the pools out of the registry.
func (p pools) close() {
	for _, one := range p {
		one.engine.Close()
	}
}

func (p *Plane) makePool(cfg Pool) (*pool, error) {
	if _, twice := p.pools[cfg.engineName()]; twice {
		return nil, invalid.New("Name", cfg.engineName(), "must not be another pool's as well")
	}
	if err := (workspaces.Version{Preset: cfg.Preset}).Validate(); err != nil {
		return nil, err
	}
	switch {
	case cfg.Template == uuid.Nil && cfg.TemplateName == "":
		return nil, invalid.New("Template", cfg.Template, "must be the id of a template, or TemplateName be set")
	case cfg.Template != uuid.Nil && cfg.TemplateName != "":
		return nil, invalid.New("TemplateName", cfg.TemplateName, "must not be set together with Template")
	case cfg.TemplateName != "":
		cfg.Template = named(p.cfg.Organization, "template", cfg.TemplateName)
	}
	made := &pool{Pool: cfg}
	spec, err := cfg.spec()
	if err != nil {
		return nil, err
	}
	made.members, err = workspaces.New(p.poolStore(), p.executor, workspaces.Config{
		Template: cfg.Template, Manager: p.manager(cfg.engineName()), Hand: p.hand, Claimed: cfg.told(), Cancel: p.cancelMember,
		Clock: p.cfg.Clock, Logger: p.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	// Members and workspaces are rows of one store: what is the pool's and no member's was left by a process that died.
	engine := prewarm.Config{
		Spec: spec, IdleTimeout: -1, DestroyOrphans: true,
		Clock: p.cfg.Clock, Logger: p.cfg.Logger, Registerer: p.cfg.Registerer, Namespace: p.cfg.Namespace, Instance: p.cfg.Instance,
	}
	if cfg.Tune != nil {
		cfg.Tune(&engine)
	}
	engine.Spec.Name, made.spec = spec.Name, engine.Spec
	made.engine, err = prewarm.New(made.members, made.members, engine)
	return made, err
}

// manager is the owner of a pool's workspaces that nobody has claimed.
func (p *Plane) manager(name string) lifecycle.Owner {
	return lifecycle.Owner{ID: named(p.cfg.Organization, "pool", name), Name: "pool " + name}
}

// errUnread is why a pool keeps still until its template was read.
var errUnread = errors.New("its template was not read yet")

func (c Pool) engineName() string { return engineName(c.Name, c.Preset) }

// version is what the pool's workspaces are built from.
func (c Pool) version(template uuid.UUID) string {
	return workspaces.Version{Template: template, Preset: c.Preset}.String()
}

// spec is what the pool shall be, before its template is known.
func (c Pool) spec() (prewarm.Spec, error) {
	s := prewarm.Spec{Name: c.engineName(), Version: c.version(uuid.Nil), Floor: c.Size, Ceiling: c.Ceiling, Err: errUnread}
	switch { // what the engine would refuse as well, by other names
	case c.Name == "":
		return s, invalid.New("Name", c.Name, "must not be empty")
	case c.Size < 0:
		return s, invalid.New("Size", c.Size, "must not be negative")
	case c.Ceiling != 0 && c.Ceiling < c.Size:
		return s, invalid.New("Ceiling", c.Ceiling, "must not be below Size, %d", c.Size)
	}
	for i, b := range c.Busy {
		window, err := b.window()
		if err == nil && (b.Size < 0 || c.Ceiling != 0 && b.Size > c.Ceiling) {
			err = invalid.New("Size", b.Size, "must be between 0 and Ceiling")
		}
		if err != nil {
			return s, invalid.Within(fmt.Sprintf("Busy[%d]", i), err)
		}
		s.Windows = append(s.Windows, window)
	}
	return s, s.Validate()
}

func (b PoolHours) window() (prewarm.Window, error) {
	h, err := schedule.ParseHours(b.Hours, schedule.Options{})
	if err != nil {
		return prewarm.Window{}, invalid.As("Hours", err)
	}
	return prewarm.Window{Hours: h, Size: b.Size}, nil
}

func (c Pool) told() func(context.Context, lifecycle.Snapshot) error {
	if c.Claimed == nil {
		return nil
	}
	return func(ctx context.Context, s lifecycle.Snapshot) error { return c.Claimed(ctx, WorkspaceOf(s)) }
}

func (p *Plane) cancelMember(ctx context.Context, id uuid.UUID, build int64) error {
	return buildjobs.Cancel(ctx, p.executor, p.acquirer, id, build, "no longer wanted by its pool")
}

// reserve keeps slots free of the builds of pools.
func (p *Plane) reserve() []queue.Reserve {
	if len(p.cfg.Pools) == 0 {
		return nil
	}
	return []queue.Reserve{{Priority: poolPriority, Of: poolShare}}
}

// behindPeople gives the builds of workspaces that nobody has claimed their priority.
type behindPeople struct{ executor.Builder }

func (b behindPeople) Prepare(ctx context.Context, g executor.Group) (executor.Preparation, error) {
	if b.Builder == nil {
		return patient{}, nil
	}
	p, err := b.Builder.Prepare(ctx, g)
	return patient{p}, err
}

type patient struct{ executor.Preparation }

func (p patient) Build(ctx context.Context, r executor.BuildRequest) (spec executor.BuildSpec, err error) {
	if p.Preparation != nil {
		spec, err = p.Preparation.Build(ctx, r)
	}
	if r.Snapshot.Workspace.Managed {
		spec.Priority = poolPriority
	}
	return spec, err
}

func (p patient) Close() error {
	if p.Preparation == nil {
		return nil
	}
	return p.Preparation.Close()
}

// follow is how often a pool looks whether its template has another version.
const follow = 10 * time.Second

// runPools runs all pools until ctx ends.
func (p *Plane) runPools(ctx context.Context) error {
	var parts []func(context.Context) error
	for _, one := range p.pools {
		parts = append(parts, one.engine.Run, func(ctx context.Context) error { return p.followTemplate(ctx, one) })
	}
	var failed failures
	all := begin(ctx, failed.add, parts...)
	<-ctx.Done()
	all.end()
	return failed.all()
}

func (p *Plane) followTemplate(ctx context.Context, one *pool) error {
	for again := true; again; again = p.pause(ctx, follow) {
		t, err := p.templateIn(ctx, p.reads, one.Template)
		spec := one.spec
		switch {
		case errors.Is(err, lifecycle.ErrNotFound):
			spec.Err = err
		case err != nil:
			continue // the store is away: the pool notices that itself
		case t.ActiveVersionID == uuid.Nil:
			spec.Err = errors.New("its template has no active version")
		default:
			spec.Version, spec.Err = one.version(t.ActiveVersionID), nil
		}
		if err := one.engine.SetSpec(spec); err != nil {
			p.cfg.Logger.WarnContext(ctx, "dormouse: pool does not follow its template", "pool", one.engineName(), "error", err)
		}
	}
	return nil
}

// changed tells the pools that a build has ended.
func (p pools) changed() {
	for _, one := range p {
		one.members.Changed()
	}
}

// Pool returns the engine of a pool of the configuration, for what the plane has no verb for: its Pause, Resume, Explain
// and Stats. One with a preset is called NAME/PRESET. Its Run belongs to the plane. A workspace that was claimed is given back by [Plane.Delete], like any other.
func (p *Plane) Pool(name string) (*prewarm.Pool, bool) {
	one, ok := p.pools[name]
	if !ok {
		return nil, false
	}
	return one.engine, true
}

// Claim asks a pool for a workspace that runs.
type Claim struct {
	// Pool is the name of the pool, Preset the preset if its pools have one. Another preset is never handed out instead.
	Pool   string `json:"pool"`
	Preset string `json:"preset,omitempty"`
	// Workspace is what its new owner gets: Owner is required, Name, schedule and TTL are set if they are given. ID and
	// Template are the pool's choice. The owner must not have another workspace of that name.
	Workspace NewWorkspace `json:"workspace"`
	// Key makes a request repeatable: the same key gets the same workspace of the pool and preset. Defaults to a new one.
	Key string `json:"key,omitempty"`
	// Tenant is the group among which waiting claims are served in turn. Defaults to the owner.
	Tenant string `json:"tenant,omitempty"`
	// IfEmpty says what happens if none is ready: fail with a [prewarm.EmptyError], build one for this claim (cold), or
	// wait, for MaxWait. Defaults to failing.
	IfEmpty prewarm.IfEmpty `json:"if_empty,omitempty"`
	// MaxWait defaults to half a minute for waiting, and to as long as builds may take for cold claims.
	MaxWait time.Duration `json:"max_wait,omitzero"`
}

// MarshalJSON writes MaxWait as a text like "30s".
func (c Claim) MarshalJSON() ([]byte, error) {
	type plain Claim
	return json.Marshal(struct {
		plain
		MaxWait span `json:"max_wait,omitzero"`
	}{plain(c), span(c.MaxWait)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Claim) UnmarshalJSON(text []byte) error {
	type plain Claim
	v := struct {
		*plain
		MaxWait span `json:"max_wait"`
	}{plain: (*plain)(c)}
	err := json.Unmarshal(text, &v)
	c.MaxWait = time.Duration(v.MaxWait)
	return err
}

// Claimed is a workspace that was handed out.
type Claimed struct {
	Workspace Workspace `json:"workspace"`
	// Source says where it comes from: warm, waited, cold or repeated.
	Source prewarm.Source `json:"source"`
	// Waited is the time from the request to the answer.
	Waited time.Duration `json:"waited,omitzero"`
	// Missed says why none was ready when the request came; its Reason is "" if one was.
	Missed prewarm.Diagnosis `json:"missed,omitzero"`
}

// MarshalJSON writes Waited as a text like "1.5s".
func (c Claimed) MarshalJSON() ([]byte, error) {
	type plain Claimed
	return json.Marshal(struct {
		plain
		Waited span `json:"waited,omitzero"`
	}{plain(c), span(c.Waited)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Claimed) UnmarshalJSON(text []byte) error {
	type plain Claimed
	v := struct {
		*plain
		Waited span `json:"waited"`
	}{plain: (*plain)(c)}
	err := json.Unmarshal(text, &v)
	c.Waited = time.Duration(v.Waited)
	return err
}

// details are what a claim's row says of the handover: another process may be the one to do it.
type details struct {
	Workspace NewWorkspace `json:"workspace"`
	Actor     string       `json:"actor,omitempty"`
	Note      string       `json:"note,omitempty"`
}

// Claim hands out a workspace of a pool, in the time of a commit if one is ready: it has its owner, name and schedule, and
// its lifecycle begins. What was done is done for the key: whoever repeats a request, after a crash or a lost answer, gets
// the same workspace. Whoever gives up waiting takes nothing along.
//
// The errors are those of [prewarm.Pool.Claim], of [lifecycle.Claim], lifecycle.ErrNameTaken, and an [*invalid.Error] for
// a pool or preset that this plane does not have.
func (p *Plane) Claim(ctx context.Context, c Claim, options ...Option) (Claimed, error) {
	one, err := p.pools.of(c)
	if err != nil {
		return Claimed{}, err
	}
	r, err := requestOf(options)
	if err != nil {
		return Claimed{}, err
	}
	text, err := p.checkClaim(ctx, one, c, details{c.Workspace, r.actor, r.note})
	if err != nil {
		return Claimed{}, err
	}
	h, err := one.engine.Claim(ctx, prewarm.Request{
		Owner: c.Workspace.Owner, Tenant: cmp.Or(c.Tenant, c.Workspace.Owner), Key: c.Key, IfEmpty: c.IfEmpty, MaxWait: c.MaxWait, Details: text,
	})
	if err != nil {
		return Claimed{}, asClaim(err)
	}
	w, err := p.Get(ctx, h.Member.Resource)
	return Claimed{w, h.Source, h.Waited, h.Missed}, err
}

// asClaim gives a refusal of the engine the field that the plane's caller knows.
func asClaim(err error) error {
	var refused *invalid.Error
	if errors.As(err, &refused) {
		if field, ok := strings.CutPrefix(refused.Field, "Request."); ok {
			return invalid.As("Claim."+field, err)
		}
	}
	return err
}

// of returns the pool that a claim asks for.
func (p pools) of(c Claim) (*pool, error) {
	var presets []string
	for _, one := range p {
		switch {
		case one.Name == c.Pool && one.Preset == c.Preset:
			return one, nil
		case one.Name == c.Pool:
			presets = append(presets, strconv.Quote(one.Preset))
		}
	}
	if len(presets) == 0 {
		return nil, invalid.New("Claim.Pool", c.Pool, "must be one of Config.Pools")
	}
	slices.Sort(presets)
	return nil, invalid.New("Claim.Preset", c.Preset, "must be one of pool %s: %s", c.Pool, strings.Join(presets, ", "))
}

// PresetOf returns the preset that a pool has built a workspace with, "" if there is none: for a Config.Builder, and for what
// carries out builds elsewhere. It is known as long as the workspace exists, whoever has it, and the pool is one of Config.Pools;
// a preset that is no longer kept ready stays there with a Size of 0 while somebody has one.
func (p *Plane) PresetOf(ctx context.Context, workspace uuid.UUID) (string, error) {
	for name, one := range p.pools {
		if one.Preset == "" {
			continue
		}
		found, err := p.poolStore().Members(ctx, prewarm.Query{Pool: name, Resources: []uuid.UUID{workspace}, Limit: 1})
		if err != nil {
			return "", fmt.Errorf("preset of workspace %s: %w", workspace, err)
		}
		if len(found) > 0 {
			v, err := workspaces.ParseVersion(found[0].Version)
			return v.Preset, err
		}
	}
	return "", nil
}

// checkClaim refuses what no workspace of the pool could be handed over as, and makes the owner known. It returns the
// claim's details.
func (p *Plane) checkClaim(ctx context.Context, one *pool, c Claim, d details) (string, error) {
	n := &c.Workspace
	if err := validName("Claim.Workspace.Owner", n.Owner); err != nil {
		return "", err
	}
	if err := validText("Claim.Workspace.Name", n.Name, maxName); err != nil {
		return "", err
	}
	switch {
	case n.ID != uuid.Nil:
		return "", invalid.New("Claim.Workspace.ID", n.ID, "must not be set: it is the pool's choice")
	case n.Template != uuid.Nil && n.Template != one.Template:
		return "", invalid.New("Claim.Workspace.Template", n.Template, "must be the pool's, %s", one.Template)
	}
	t, err := p.template(ctx, one.Template)
	if err != nil {
		return "", fmt.Errorf("claim of pool %s: %w", c.Pool, err)
	}
	o := lifecycle.Owner{ID: named(p.cfg.Organization, "owner", n.Owner), Name: n.Owner}
	if err := p.ensureOwner(ctx, o, request{actor: d.Actor, note: d.Note}); err != nil {
		return "", fmt.Errorf("claim of pool %s: %w", c.Pool, err)
	}
	text, err := json.Marshal(d)
	if err == nil {
		err = p.tryHand(ctx, prewarm.Claim{Owner: n.Owner, Details: string(text)}, t)
	}
	return string(text), err
}

// tryHand hands over a workspace that does not exist.
func (p *Plane) tryHand(ctx context.Context, c prewarm.Claim, t lifecycle.Template) error {
	verb, err := p.hand(ctx, c)
	if err != nil {
		return err
	}
	now := p.now()
	s := lifecycle.Snapshot{Template: t, Workspace: lifecycle.NewWorkspace(uuid.New(), t, uuid.Nil, "", now)}
	s.Workspace.Managed = true
	s.Build = lifecycle.Build{Number: 1, Transition: lifecycle.TransitionStart, Status: lifecycle.JobSucceeded, CreatedAt: now, CompletedAt: now}
	_, err = verb(s, now)
	return err
}

// hand is the verb that hands a workspace to a claim: its owner, its name and its schedule in one change.
func (p *Plane) hand(ctx context.Context, c prewarm.Claim) (lifecycle.Verb, error) {
	var d details
	if err := json.Unmarshal([]byte(c.Details), &d); err != nil {
		return nil, fmt.Errorf("details of claim %q: %w", c.Key, err)
	}
	n := d.Workspace
	start, stop, err := Schedule{Hours: n.Hours, Autostart: n.Autostart, Autostop: n.Autostop}.parse("Claim.Workspace")
	if err != nil {
		return nil, err
	}
	o, ok, err := p.store.Owner(ctx, named(p.cfg.Organization, "owner", c.Owner))
	if err == nil && !ok {
		err = fmt.Errorf("owner %s: %w", c.Owner, lifecycle.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	claim := lifecycle.Claim(lifecycle.Handover{Owner: o, Name: n.Name, Autostart: start, TTL: n.TTL})
	return request{actor: d.Actor, note: d.Note}.sign(func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		change, err := claim(s, now)
		if err != nil || stop == nil {
			return change, err
		}
		s.Workspace, s.Build = change.Workspace, change.Build
		stops, err := lifecycle.SetAutostop(stop)(s, now)
		stops.Claims, stops.Events = true, slices.Concat(change.Events, stops.Events)
		return stops, invalid.As("Claim.Workspace.Autostop", err)
	}), nil
}
