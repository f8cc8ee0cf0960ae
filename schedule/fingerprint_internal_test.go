package schedule

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// zoneOfRules is a zone with the given rules for every year, in the form of the POSIX variable TZ, under one name: the time
// zone database before and after a change of its rules.
func zoneOfRules(t *testing.T, rules string, transitions ...int64) *zone {
	t.Helper()
	var data bytes.Buffer
	block := func(size int, transitions []int64) {
		data.WriteString("TZif2")
		data.Write(make([]byte, 15))
		for _, n := range []int{0, 0, 0, len(transitions), 2, 9} { // flags, leap seconds, changes, offsets, names
			data.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
		}
		for _, at := range transitions {
			if size == 8 {
				data.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
			}
		}
		for i := range transitions {
			data.WriteByte(byte(1 - i%2)) // to summer, to winter
		}
		data.Write([]byte{0, 0, 14, 16, 0, 0, 0, 0, 28, 32, 1, 4}) // 3600 standard, 7200 summer
		data.WriteString("CET\x00CEST\x00")
	}
	block(4, nil)
	block(8, transitions)
	data.WriteString("\n" + rules + "\n")
	loc, err := time.LoadLocationFromTZData("Europe/Test", data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return newZone(loc)
}

func TestFingerprintFollowsTheRules(t *testing.T) {
	t.Parallel()
	const today = "CET-1CEST,M3.5.0,M10.5.0/3"
	want := zoneOfRules(t, today).fingerprint()
	for rules, same := range map[string]bool{
		today:                          true,
		"CET-1CEST,M3.5.0,M10.4.0/3":   false, // ends a week earlier
		"CET-1CEST,M3.5.0,M10.5.0/4":   false, // an hour later
		"CET-1CEST,M3.5.0/3,M10.5.0/3": false, // begins an hour later
		"CET-1CEST-3,M3.5.0,M10.5.0/4": false, // the same instants, by two hours
		"CET-1":                        false, // no summer time
		"XXT-1XXST,M3.5.0,M10.5.0/3":   true,  // other names only
	} {
		if got := zoneOfRules(t, rules).fingerprint(); (got == want) != same || got <= 0 {
			t.Errorf("%s: %d, and %d for %s", rules, got, want, today)
		}
	}
}

// Some platforms write the changes of many years into the data, others only the rules.
func TestFingerprintOfTheSameRulesInOtherWords(t *testing.T) {
	t.Parallel()
	const rules = "CET-1CEST,M3.5.0,M10.5.0/3"
	slim := zoneOfRules(t, rules)
	var changes []int64
	for at := int64(fingerprintFrom); ; {
		if at = slim.change(at, slim.offset(at), 2145916800); at == 2145916800 { // 2038
			break
		}
		changes = append(changes, at)
	}
	if len(changes) != 2*68 {
		t.Fatalf("%d changes of the clock", len(changes))
	}
	if fat := zoneOfRules(t, rules, changes...); fat.fingerprint() != slim.fingerprint() {
		t.Error("explicit changes have another fingerprint than the rules that they follow")
	}
}
