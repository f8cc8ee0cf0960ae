package postgres

import (
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/form"
)

type (
	member = prewarm.Member
	claim  = prewarm.Claim
)

// memberColumns are what is written of a member, but for its id and revision.
var memberColumns = columns[member]{
	col("pool", "text", func(m *member) string { return m.Pool }),
	col("version", "text", func(m *member) string { return m.Version }),
	col("state", "smallint", func(m *member) int16 { return int16(m.State) }),
	col("resource", "uuid", func(m *member) key { return key(m.Resource) }),
	col("generation", "bigint", func(m *member) int64 { return m.Generation }),
	col("uses", "integer", func(m *member) int32 { return count32(m.Uses) }),
	col("reserved_for", "text", func(m *member) string { return m.For }),
	col("created_at", "timestamptz", func(m *member) stamp { return stamp(m.CreatedAt) }),
	col("ready_at", "timestamptz", func(m *member) stamp { return stamp(m.ReadyAt) }),
	col("deadline", "timestamptz", func(m *member) stamp { return stamp(m.Deadline) }),
	col("attempts", "integer", func(m *member) int32 { return count32(m.Attempts) }),
	col("misses", "integer", func(m *member) int32 { return count32(m.Misses) }),
	col("reason", "text", func(m *member) string { return string(m.Reason) }),
	col("message", "text", func(m *member) string { return form.Text(m.Message) }),
	col("claim_key", "text", func(m *member) zeronull.Text { return zeronull.Text(m.Claim.Key) }),
	col("owner", "text", func(m *member) string { return m.Claim.Owner }),
	col("tenant", "text", func(m *member) string { return m.Claim.Tenant }),
	col("claim_details", "text", func(m *member) zeronull.Text { return zeronull.Text(m.Claim.Details) }),
	col("claimed_at", "timestamptz", func(m *member) stamp { return stamp(m.Claim.At) }),
	col("idle_timeout", "bigint", func(m *member) int64 { return int64(m.Claim.IdleTimeout) }),
	col("ends_at", "timestamptz", func(m *member) stamp { return stamp(m.Claim.Until) }),
}

// putColumns are members as they come to be written: at the revision they were read with.
var putColumns = concat(columns[member]{
	col("id", "uuid", func(m *member) key { return key(m.ID) }),
	col("revision", "bigint", func(m *member) int64 { return m.Revision }),
	col("leaves", "boolean", leaves),
}, memberColumns)

// leaves reports whether a member is to be deleted.
func leaves(m *member) bool { return m.State == prewarm.Gone && m.Deadline.IsZero() }

// claimRow is a claim with the deadline that it gives.
type claimRow struct {
	claim
	deadline stamp
}

var claimColumns = columns[claimRow]{
	col("claim_key", "text", func(c *claimRow) string { return c.Key }),
	col("owner", "text", func(c *claimRow) string { return c.Owner }),
	col("tenant", "text", func(c *claimRow) string { return c.Tenant }),
	col("idle_timeout", "bigint", func(c *claimRow) int64 { return int64(c.IdleTimeout) }),
	col("ends_at", "timestamptz", func(c *claimRow) stamp { return stamp(c.Until) }),
	col("deadline", "timestamptz", func(c *claimRow) stamp { return c.deadline }),
	col("claim_details", "text", func(c *claimRow) zeronull.Text { return zeronull.Text(c.Details) }),
}

// memberRow is where one member is read into.
type memberRow struct {
	m                      member
	state                  int16
	uses, attempts, misses int32
}

var memberFields = fields[memberRow]{
	{"m.id", func(r *memberRow) any { return &r.m.ID }},
	{"m.pool", func(r *memberRow) any { return &r.m.Pool }},
	{"m.version", func(r *memberRow) any { return &r.m.Version }},
	{"m.revision", func(r *memberRow) any { return &r.m.Revision }},
	{"m.state", func(r *memberRow) any { return &r.state }},
	{"m.resource", func(r *memberRow) any { return &r.m.Resource }},
	{"m.generation", func(r *memberRow) any { return &r.m.Generation }},
	{"m.uses", func(r *memberRow) any { return &r.uses }},
	{"m.reserved_for", func(r *memberRow) any { return &r.m.For }},
	{"m.created_at", func(r *memberRow) any { return toTime(&r.m.CreatedAt) }},
	{"m.ready_at", func(r *memberRow) any { return toTime(&r.m.ReadyAt) }},
	{"m.deadline", func(r *memberRow) any { return toTime(&r.m.Deadline) }},
	{"m.attempts", func(r *memberRow) any { return &r.attempts }},
	{"m.misses", func(r *memberRow) any { return &r.misses }},
	{"m.reason", func(r *memberRow) any { return &r.m.Reason }},
	{"m.message", func(r *memberRow) any { return &r.m.Message }},
	{"m.claim_key", func(r *memberRow) any { return toText(&r.m.Claim.Key) }},
	{"m.owner", func(r *memberRow) any { return &r.m.Claim.Owner }},
	{"m.tenant", func(r *memberRow) any { return &r.m.Claim.Tenant }},
	{"m.claim_details", func(r *memberRow) any { return toText(&r.m.Claim.Details) }},
	{"m.claimed_at", func(r *memberRow) any { return toTime(&r.m.Claim.At) }},
	{"m.idle_timeout", func(r *memberRow) any { return (*int64)(&r.m.Claim.IdleTimeout) }},
	{"m.ends_at", func(r *memberRow) any { return toTime(&r.m.Claim.Until) }},
}

func (r *memberRow) member() member {
	r.m.State, r.m.Uses, r.m.Attempts, r.m.Misses = prewarm.State(r.state), int(r.uses), int(r.attempts), int(r.misses)
	normalize(&r.m.CreatedAt, &r.m.ReadyAt, &r.m.Deadline, &r.m.Claim.At, &r.m.Claim.Until)
	return r.m
}
