// Package keylog is the format of a key log, which the render cache writes and its replay reads: a header, then records of
// fixed size.
package keylog

import "encoding/binary"

// Header begins every key log; its last byte is the version of the format.
const Header = "rendkey\x01"

// Size is the size of a record: id, time and weight, eight bytes each, big-endian.
const Size = 24

// Append adds a record: the id of a key, nanoseconds since the cache's start, and 0 for a request or the weight of the
// value that was stored.
func Append(buf []byte, id uint64, at, weight int64) []byte {
	buf = binary.BigEndian.AppendUint64(buf, id)
	buf = binary.BigEndian.AppendUint64(buf, uint64(at))
	return binary.BigEndian.AppendUint64(buf, uint64(weight))
}

// Decode is the inverse of Append.
func Decode(buf [Size]byte) (id uint64, at, weight int64) {
	return binary.BigEndian.Uint64(buf[0:]), int64(binary.BigEndian.Uint64(buf[8:])), int64(binary.BigEndian.Uint64(buf[16:]))
}
