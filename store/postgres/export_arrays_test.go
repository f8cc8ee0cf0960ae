package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
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

var arrayOIDs = map[string]uint32{
	"uuid": pgtype.UUIDArrayOID, "text": pgtype.TextArrayOID, "bytea": pgtype.ByteaArrayOID, "boolean": pgtype.BoolArrayOID,
	"bigint": pgtype.Int8ArrayOID, "integer": pgtype.Int4ArrayOID, "smallint": pgtype.Int2ArrayOID, "timestamptz": pgtype.TimestamptzArrayOID,
}

// Arrays are columns of samples as this package writes them, and as pgx does, by name.
func Arrays(rows []Sample) (ours, theirs map[string]string, err error) {
	ours, theirs = map[string]string{}, map[string]string{}
	types := pgtype.NewMap()
	row := func(i int) *Sample { return &rows[i] }
	for _, c := range sampleColumns {
		before := "what stands before it"
		ours[c.name] = string(c.write([]byte(before), len(rows), row)[len(before):])
		bytes, err := types.Encode(arrayOIDs[c.kind], pgx.BinaryFormatCode, c.values(len(rows), row), nil)
		if err != nil {
			return nil, nil, err
		}
		theirs[c.name] = string(bytes)
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
