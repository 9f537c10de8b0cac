package h2

// Abuse is something cheap to send and dear to serve, of which a client may do
// only so much.
type Abuse uint8

// What a client may overdo.
const (
	NoAbuse           Abuse = iota
	RapidReset              // streams that the client ends, or makes the server end, before they are answered (CVE-2023-44487, CVE-2025-8671)
	PingFlood               // PING frames
	SettingsFlood           // SETTINGS frames
	PriorityFlood           // PRIORITY, PRIORITY_UPDATE and other frames without effect
	EmptyFrames             // DATA, HEADERS and CONTINUATION without a byte that counts (CVE-2019-9518)
	WindowFlood             // WINDOW_UPDATE frames that open little
	ContinuationFlood       // header blocks of too many frames or bytes (CVE-2024-27316)
	ControlFlood            // answers to control frames that the client does not read
	HeaderBomb              // header lists that are long when decompressed
	numAbuses
)

var abuseNames = [numAbuses]string{
	"none", "rapid_reset", "ping_flood", "settings_flood", "priority_flood", "empty_frames",
	"window_update_flood", "continuation_flood", "control_flood", "header_bomb",
}

// String returns the name that metrics and logs have: "rapid_reset" and so on.
func (a Abuse) String() string { return abuseNames[min(a, numAbuses-1)] }

// allowance is a budget: so many at once, and so many a second in the long run.
type allowance struct{ burst, perSecond int32 }

// allowances were chosen to be far above what clients at work need, and far
// below what costs a server anything: a thousand small frames are a
// millisecond of one core.
var allowances = [numAbuses]allowance{
	RapidReset:    {200, 10}, // a page that is left cancels a hundred images
	PingFlood:     {100, 10},
	SettingsFlood: {30, 1},
	PriorityFlood: {500, 50}, // older browsers send one or two a request
	EmptyFrames:   {100, 10},
	WindowFlood:   {500, 50}, // beyond those that earned their place; see Earn
	HeaderBomb:    {10, 1},
}

// calms are the faults of those who have overdone it, by what.
var calms = func() (faults [numAbuses]*Fault) {
	for a := range faults {
		faults[a] = &Fault{Conn: true, Code: EnhanceYourCalm, Reason: "too much of one thing: " + abuseNames[a], Abuse: Abuse(a)}
	}
	return faults
}()

// Calm returns the fault of a client that has overdone something.
func Calm(a Abuse) *Fault { return calms[a] }

// Budget counts what a client does against its allowances. The zero value is
// that of a new connection.
type Budget struct {
	spent [numAbuses]int32
	at    int64 // when spent was last lowered, in seconds
}

// Spend counts one and reports, by its fault, that it was one too many. now is
// any clock that rises, in nanoseconds.
func (b *Budget) Spend(a Abuse, now int64) *Fault {
	b.refill(now / 1e9)
	if b.spent[a]++; b.spent[a] > allowances[a].burst {
		return calms[a]
	}
	return nil
}

// Earn gives some of a budget back, for useful work.
func (b *Budget) Earn(a Abuse, n int32) { b.spent[a] = max(b.spent[a]-n, 0) }

// refill lowers what was spent as time goes by.
func (b *Budget) refill(second int64) {
	passed := second - b.at
	if passed <= 0 {
		return
	}
	b.at = second
	passed = min(passed, 1000)
	for a := range b.spent {
		b.Earn(Abuse(a), int32(passed)*allowances[a].perSecond)
	}
}
