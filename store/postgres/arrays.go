package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// parameters are those of a statement. Some of them are binary arrays, which a connection sends only where it was taught to: whatever
// has columns among its parameters gives them to pgx as these.
type parameters []any

// RewriteQuery implements pgx.QueryRewriter, which pgx calls with the connection that the statement will be sent on.
func (p parameters) RewriteQuery(_ context.Context, conn *pgx.Conn, text string, _ []any) (string, []any, error) {
	teach(conn.TypeMap())
	return text, p, nil
}

// written are the parameters of a large statement. pgx writes those of any statement into two buffers, one behind the other, that begin
// small and are given up behind it: growing, they took many times the size of what was sent, and were half of the memory of a tick. So
// these are written here, by the column, and pgx is told how much will come before it copies them.
type written struct {
	args parameters // each a binaryArray
	buf  []byte
}

// buffers are those of parameters that were sent.
var buffers sync.Pool

// perRow is a little more than a change of a tick takes, with its build, event and job.
const perRow = 1024

// newWritten returns no parameters, with room for those of so many rows; its release gives back what they take.
func newWritten(columns, rows int) *written {
	w := &written{args: make([]any, 0, columns)}
	if buf, ok := buffers.Get().(*[]byte); ok {
		w.buf = (*buf)[:0]
	}
	w.buf = slices.Grow(w.buf, rows*perRow)
	return w
}

// largestKept is more than a batch takes, unless its jobs have large payloads.
const largestKept = 1 << 20

// release may be called once the statement has been answered, or has failed.
func (w *written) release() {
	if cap(w.buf) <= largestKept {
		buffers.Put(&w.buf)
	}
}

// RewriteQuery implements pgx.QueryRewriter.
func (w *written) RewriteQuery(ctx context.Context, conn *pgx.Conn, text string, args []any) (string, []any, error) {
	w.args[0] = binaryArray{w.args[0].(binaryArray).bytes, len(w.buf)}
	conn.PgConn().Frontend().Send(room(len(w.buf) + messages))
	return w.args.RewriteQuery(ctx, conn, text, args)
}

// messages is more than the parts of a message that are no values.
const messages = 2048

// room is a message without a byte, that makes room for those behind it.
type room int

// Frontend implements pgproto3.FrontendMessage.
func (room) Frontend() {}

// Decode implements pgproto3.FrontendMessage.
func (room) Decode([]byte) error { return errors.ErrUnsupported }

// Encode implements pgproto3.FrontendMessage.
func (r room) Encode(buf []byte) ([]byte, error) { return slices.Grow(buf, int(r)), nil }

// binaryArray is the values of a column as the server takes them: an array in its binary form. pgx would encode a slice of a type that
// it does not know through reflection, with two objects on the heap for each value; that was half of all objects of a tick.
type binaryArray struct {
	bytes []byte
	// total is how long all arrays of a large statement are, in its first one.
	total int
}

// teach has a connection send binary arrays as they are.
func teach(types *pgtype.Map) {
	if types.PlanEncode(pgtype.TextArrayOID, pgx.BinaryFormatCode, binaryArray{}) == nil {
		types.TryWrapEncodePlanFuncs = slices.Insert(slices.Clone(types.TryWrapEncodePlanFuncs), 0, planBinaryArray)
	}
}

func planBinaryArray(v any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	_, ok := v.(binaryArray)
	return &binaryArrayPlan{}, noValues{}, ok
}

// noValues is an array of whatever is wanted. It implements pgtype.ArrayGetter.
type noValues struct{}

func (noValues) Dimensions() []pgtype.ArrayDimension { return []pgtype.ArrayDimension{} }
func (noValues) Index(int) any                       { return nil }
func (noValues) IndexType() any                      { return nil }

// binaryArrayPlan implements pgtype.EncodePlan.
type binaryArrayPlan struct{ text bool }

// SetNext learns in which form an array is wanted.
func (p *binaryArrayPlan) SetNext(next pgtype.EncodePlan) {
	empty, err := next.Encode(noValues{}, nil)
	p.text = err != nil || string(empty) == "{}"
}

func (p *binaryArrayPlan) Encode(v any, buf []byte) ([]byte, error) {
	if p.text { // pgx then asks for the other form
		return nil, errors.ErrUnsupported
	}
	a := v.(binaryArray)
	return append(slices.Grow(buf, a.total), a.bytes...), nil
}

// write appends the values of a column to buf as an array. It ends with the last value that is not NULL: the statement fills the rest
// of the rows up with NULL. Most columns of a change are NULL in all of them, and such an array is empty.
type write[R any] func(buf []byte, n int, row func(int) *R) []byte

// element appends a value of a row, of a type of the server; ok is false for NULL.
type element[R any] func(buf []byte, r *R) (_ []byte, ok bool)

// array writes a column of such values; oid is their type.
func (e element[R]) array(oid uint32) write[R] {
	return func(buf []byte, n int, row func(int) *R) []byte {
		start := len(buf)
		buf = append(buf, 0, 0, 0, 1, 0, 0, 0, 0)
		buf = binary.BigEndian.AppendUint32(buf, oid)
		buf = append(buf, 0, 0, 0, 0, 0, 0, 0, 1)
		end, count, nulls := len(buf), 0, 0
		for i := range n {
			at := len(buf)
			var ok bool
			buf, ok = e(append(buf, 255, 255, 255, 255), row(i))
			if !ok {
				buf = buf[:at+4]
				continue
			}
			nulls += i - count
			end, count = len(buf), i+1
			binary.BigEndian.PutUint32(buf[at:], uint32(end-at-4))
		}
		if nulls > 0 {
			buf[start+7] = 1
		}
		binary.BigEndian.PutUint32(buf[start+12:], uint32(count))
		return buf[:end]
	}
}

// writeOf returns a function that writes a column, given how a value is read from a row. A value that may be NULL is NULL where it is
// zero.
func writeOf[R any](of any) write[R] {
	switch of := of.(type) {
	case func(*R) key:
		return element[R](func(b []byte, r *R) ([]byte, bool) { v := of(r); return append(b, v[:]...), true }).array(pgtype.UUIDOID)
	case func(*R) string:
		return element[R](func(b []byte, r *R) ([]byte, bool) { return append(b, of(r)...), true }).array(pgtype.TextOID)
	case func(*R) zeronull.Text:
		return element[R](func(b []byte, r *R) ([]byte, bool) { v := of(r); return append(b, v...), v != "" }).array(pgtype.TextOID)
	case func(*R) []byte:
		return element[R](func(b []byte, r *R) ([]byte, bool) { v := of(r); return append(b, v...), v != nil }).array(pgtype.ByteaOID)
	case func(*R) queue.SecretHash: // empty if there is none, which no handout has
		return element[R](func(b []byte, r *R) ([]byte, bool) {
			v := of(r)
			if v == (queue.SecretHash{}) {
				return b, true
			}
			return append(b, v[:]...), true
		}).array(pgtype.ByteaOID)
	case func(*R) bool:
		return element[R](func(b []byte, r *R) ([]byte, bool) {
			if of(r) {
				return append(b, 1), true
			}
			return append(b, 0), true
		}).array(pgtype.BoolOID)
	case func(*R) int64:
		return element[R](func(b []byte, r *R) ([]byte, bool) { return binary.BigEndian.AppendUint64(b, uint64(of(r))), true }).array(pgtype.Int8OID)
	case func(*R) int32:
		return element[R](func(b []byte, r *R) ([]byte, bool) { return binary.BigEndian.AppendUint32(b, uint32(of(r))), true }).array(pgtype.Int4OID)
	case func(*R) int16:
		return element[R](func(b []byte, r *R) ([]byte, bool) { return binary.BigEndian.AppendUint16(b, uint16(of(r))), true }).array(pgtype.Int2OID)
	case func(*R) zeronull.UUID:
		return element[R](func(b []byte, r *R) ([]byte, bool) { v := of(r); return append(b, v[:]...), v != zeronull.UUID{} }).array(pgtype.UUIDOID)
	case func(*R) zeronull.Int8:
		return element[R](func(b []byte, r *R) ([]byte, bool) {
			v := of(r)
			return binary.BigEndian.AppendUint64(b, uint64(v)), v != 0
		}).array(pgtype.Int8OID)
	case func(*R) zeronull.Int4:
		return element[R](func(b []byte, r *R) ([]byte, bool) {
			v := of(r)
			return binary.BigEndian.AppendUint32(b, uint32(v)), v != 0
		}).array(pgtype.Int4OID)
	case func(*R) zeronull.Int2:
		return element[R](func(b []byte, r *R) ([]byte, bool) {
			v := of(r)
			return binary.BigEndian.AppendUint16(b, uint16(v)), v != 0
		}).array(pgtype.Int2OID)
	case func(*R) stamp:
		return element[R](func(b []byte, r *R) ([]byte, bool) {
			v := store.Instant(time.Time(of(r)))
			return binary.BigEndian.AppendUint64(b, uint64(v.UnixMicro()-epoch)), !v.IsZero()
		}).array(pgtype.TimestamptzOID)
	}
	panic("postgres: a column of a type that arrays.go does not know")
}

// epoch is the year 2000, from which the server counts, in microseconds.
const epoch = 946_684_800_000_000
