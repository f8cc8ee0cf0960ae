package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
)

// array is the values of a column on their way to the database. pgx encodes a slice of a type that it does not know through
// reflection, with two objects on the heap for each value; that was half of all objects of a tick. Of an array it asks for
// pointers to the values, which cost nothing, and the values say themselves what they are.
type array[V value] []V

// value is what an array is made of: one of pgtype's interfaces for values, which pgx does not name together.
type value interface {
	idValue | textValue | optionalText | intValue | boolValue | bytesValue | stamp | zeronull.Int2 | zeronull.Int4 | zeronull.Int8 | zeronull.UUID
}

// Dimensions implements pgtype.ArrayGetter.
func (a array[V]) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(a)), LowerBound: 1}}
}

// Index implements pgtype.ArrayGetter.
func (a array[V]) Index(i int) any { return &a[i] }

// IndexType implements pgtype.ArrayGetter.
func (a array[V]) IndexType() any { return new(V) }

type (
	idValue      [16]byte
	textValue    string
	optionalText string // empty is NULL
	intValue     int64
	boolValue    bool
	bytesValue   []byte
)

// UUIDValue implements pgtype.UUIDValuer.
func (i *idValue) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: *i, Valid: true}, nil }

// TextValue implements pgtype.TextValuer.
func (t *textValue) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: string(*t), Valid: true}, nil
}

// TextValue implements pgtype.TextValuer.
func (t *optionalText) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: string(*t), Valid: *t != ""}, nil
}

// Int64Value implements pgtype.Int64Valuer.
func (n *intValue) Int64Value() (pgtype.Int8, error) {
	return pgtype.Int8{Int64: int64(*n), Valid: true}, nil
}

// BoolValue implements pgtype.BoolValuer.
func (t *boolValue) BoolValue() (pgtype.Bool, error) {
	return pgtype.Bool{Bool: bool(*t), Valid: true}, nil
}

// BytesValue implements pgtype.BytesValuer. Nil is NULL.
func (b *bytesValue) BytesValue() ([]byte, error) { return *b, nil }

// valuesOf returns a function that makes an array of a column, given how a value is read from a row.
func valuesOf[R any](of any) func(n int, row func(int) *R) any {
	switch of := of.(type) {
	case func(*R) key:
		return arrayOf(func(r *R) idValue { return idValue(of(r)) })
	case func(*R) string:
		return arrayOf(func(r *R) textValue { return textValue(of(r)) })
	case func(*R) zeronull.Text:
		return optionalOf(func(r *R) (optionalText, bool) { v := of(r); return optionalText(v), v != "" })
	case func(*R) int64:
		return arrayOf(func(r *R) intValue { return intValue(of(r)) })
	case func(*R) int32:
		return arrayOf(func(r *R) intValue { return intValue(of(r)) })
	case func(*R) int16:
		return arrayOf(func(r *R) intValue { return intValue(of(r)) })
	case func(*R) bool:
		return arrayOf(func(r *R) boolValue { return boolValue(of(r)) })
	case func(*R) []byte:
		return optionalOf(func(r *R) (bytesValue, bool) { v := of(r); return v, v != nil })
	case func(*R) stamp:
		return optionalOf(func(r *R) (stamp, bool) { v := of(r); return v, !time.Time(v).IsZero() })
	case func(*R) zeronull.Int2:
		return optionalOf(func(r *R) (zeronull.Int2, bool) { v := of(r); return v, v != 0 })
	case func(*R) zeronull.Int4:
		return optionalOf(func(r *R) (zeronull.Int4, bool) { v := of(r); return v, v != 0 })
	case func(*R) zeronull.Int8:
		return optionalOf(func(r *R) (zeronull.Int8, bool) { v := of(r); return v, v != 0 })
	case func(*R) zeronull.UUID:
		return optionalOf(func(r *R) (zeronull.UUID, bool) { v := of(r); return v, v != zeronull.UUID{} })
	}
	panic("postgres: a column of a type that arrays.go does not know")
}

func arrayOf[R any, V value](of func(*R) V) func(n int, row func(int) *R) any {
	return func(n int, row func(int) *R) any {
		values := make(array[V], n)
		for i := range values {
			values[i] = of(row(i))
		}
		return values
	}
}

// optionalOf makes an array of a column of which a value may be NULL, as its zero value is. It ends with the last value that
// is not: the statement fills the rest of the rows up with NULL. Most columns of a change are NULL in all of them, and such an
// array is empty.
func optionalOf[R any, V value](of func(*R) (V, bool)) func(n int, row func(int) *R) any {
	return func(n int, row func(int) *R) any {
		values := array[V]{}
		for i := range n {
			v, ok := of(row(i))
			if !ok {
				continue
			}
			if len(values) == 0 {
				values = make(array[V], 0, n)
			}
			values = values[:i+1]
			values[i] = v
		}
		return values
	}
}
