package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/store"
)

// Sample has a value of each type that columns have.
type Sample struct {
	ID, MaybeID     [16]byte
	Text, MaybeText string
	Bytes           []byte
	Truth           bool
	Int8, MaybeInt8 int64
	Int4, MaybeInt4 int32
	Int2, MaybeInt2 int16
	At              time.Time
}

var sampleColumns = columns[Sample]{
	col("id", "uuid", func(s *Sample) key { return s.ID }),
	col("maybe_id", "uuid", func(s *Sample) zeronull.UUID { return zeronull.UUID(s.MaybeID) }),
	col("text", "text", func(s *Sample) string { return s.Text }),
	col("maybe_text", "text", func(s *Sample) zeronull.Text { return zeronull.Text(s.MaybeText) }),
	col("bytes", "bytea", func(s *Sample) []byte { return s.Bytes }),
	col("truth", "boolean", func(s *Sample) bool { return s.Truth }),
	col("int8", "bigint", func(s *Sample) int64 { return s.Int8 }),
	col("maybe_int8", "bigint", func(s *Sample) zeronull.Int8 { return zeronull.Int8(s.MaybeInt8) }),
	col("int4", "integer", func(s *Sample) int32 { return s.Int4 }),
	col("maybe_int4", "integer", func(s *Sample) zeronull.Int4 { return zeronull.Int4(s.MaybeInt4) }),
	col("int2", "smallint", func(s *Sample) int16 { return s.Int2 }),
	col("maybe_int2", "smallint", func(s *Sample) zeronull.Int2 { return zeronull.Int2(s.MaybeInt2) }),
	col("at", "timestamptz", func(s *Sample) stamp { return stamp(s.At) }),
}

// arrayOfPgx is an array of the values of samples up to the last that is not nil, for pgx to write.
type arrayOfPgx func([]Sample) any

func arrayOf[V any](of func(*Sample) *V) arrayOfPgx {
	return func(rows []Sample) any {
		values := pgtype.FlatArray[*V]{}
		for i := range rows {
			if v := of(&rows[i]); v != nil {
				values = append(values, make([]*V, i+1-len(values))...)
				values[i] = v
			}
		}
		return values
	}
}

// nilIfZero is nil for zero.
func nilIfZero[V comparable](v V) *V {
	if v == *new(V) {
		return nil
	}
	return &v
}

var arraysOfPgx = map[string]struct {
	oid uint32
	of  arrayOfPgx
}{
	"id":         {pgtype.UUIDArrayOID, arrayOf(func(s *Sample) *[16]byte { return &s.ID })},
	"maybe_id":   {pgtype.UUIDArrayOID, arrayOf(func(s *Sample) *[16]byte { return nilIfZero(s.MaybeID) })},
	"text":       {pgtype.TextArrayOID, arrayOf(func(s *Sample) *string { return &s.Text })},
	"maybe_text": {pgtype.TextArrayOID, arrayOf(func(s *Sample) *string { return nilIfZero(s.MaybeText) })},
	"bytes": {pgtype.ByteaArrayOID, arrayOf(func(s *Sample) *[]byte {
		if s.Bytes == nil {
			return nil
		}
		return &s.Bytes
	})},
	"truth":      {pgtype.BoolArrayOID, arrayOf(func(s *Sample) *bool { return &s.Truth })},
	"int8":       {pgtype.Int8ArrayOID, arrayOf(func(s *Sample) *int64 { return &s.Int8 })},
	"maybe_int8": {pgtype.Int8ArrayOID, arrayOf(func(s *Sample) *int64 { return nilIfZero(s.MaybeInt8) })},
	"int4":       {pgtype.Int4ArrayOID, arrayOf(func(s *Sample) *int32 { return &s.Int4 })},
	"maybe_int4": {pgtype.Int4ArrayOID, arrayOf(func(s *Sample) *int32 { return nilIfZero(s.MaybeInt4) })},
	"int2":       {pgtype.Int2ArrayOID, arrayOf(func(s *Sample) *int16 { return &s.Int2 })},
	"maybe_int2": {pgtype.Int2ArrayOID, arrayOf(func(s *Sample) *int16 { return nilIfZero(s.MaybeInt2) })},
	"at":         {pgtype.TimestamptzArrayOID, arrayOf(func(s *Sample) *time.Time { return nilIfZero(store.Instant(s.At)) })},
}

// Arrays are columns of samples as this package writes them, and as pgx does, by name.
func Arrays(rows []Sample) (ours, theirs map[string]string, err error) {
	ours, theirs = map[string]string{}, map[string]string{}
	types := pgtype.NewMap()
	row := func(i int) *Sample { return &rows[i] }
	for _, c := range sampleColumns {
		before := "what stands before it"
		ours[c.name] = string(c.write([]byte(before), len(rows), row)[len(before):])
	}
	for name, array := range arraysOfPgx {
		bytes, err := types.Encode(array.oid, pgx.BinaryFormatCode, array.of(rows), nil)
		if err != nil {
			return nil, nil, err
		}
		theirs[name] = string(bytes)
	}
	return ours, theirs, nil
}

// SelectSamples sends samples to the server and reads the ids and texts that arrive.
func SelectSamples(ctx context.Context, on querier, rows []Sample) (arrived map[[16]byte]string, err error) {
	w := newWritten(len(sampleColumns), len(rows))
	defer w.release()
	sampleColumns.add(w, rows)
	arrived = map[[16]byte]string{}
	var id pgtype.UUID
	var text string
	found, _ := on.Query(ctx, `SELECT id, text FROM `+sampleColumns.rows(1, "s", ""), w)
	_, err = pgx.ForEachRow(found, []any{&id, &text}, func() error {
		arrived[id.Bytes] = text
		return nil
	})
	return arrived, err
}
