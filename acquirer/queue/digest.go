package queue

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest is what processes call a lane in messages that others may hear: it names the lane to whoever knows it, and tells nobody
// else its type or tags. It is no secret: who guesses a lane can check the guess.
func (l Lane) Digest() uint64 {
	b := make([]byte, 0, 64+len(l.Type)+len(l.Tags.canon))
	b = append(b, "dormouse lane\x00"...)
	b = append(b, l.Organization[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(l.Priority))
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Type)))
	b = append(b, l.Type...)
	b = append(b, l.Tags.canon...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}
