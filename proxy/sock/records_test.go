package sock

import (
	"testing"

	"pgregory.net/rapid"
)

// However the stream is cut, the boundaries stay where they are.
func TestRecordsAreFollowedAcrossAnyCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]int{0: 0} // by offset, how many records end there or before
		for i := range rapid.IntRange(1, 8).Draw(t, "records") {
			length := rapid.OneOf(rapid.IntRange(0, 8), rapid.IntRange(250, 600)).Draw(t, "length")
			stream = append(stream, 23, 3, 3, byte(length>>8), byte(length))
			stream = append(stream, make([]byte, length)...)
			ends[len(stream)] = i + 1
		}
		var r records
		for at := 0; at < len(stream); {
			n := rapid.IntRange(1, len(stream)-at).Draw(t, "piece")
			r.pass(stream[at : at+n])
			at += n
			want := 0
			for end, count := range ends {
				if end <= at {
					want = max(want, count)
				}
			}
			_, boundary := ends[at]
			if r.ended != want || r.between() != boundary {
				t.Fatalf("after %d bytes: %d records, between %v; want %d, %v", at, r.ended, r.between(), want, boundary)
			}
		}
	})
}
