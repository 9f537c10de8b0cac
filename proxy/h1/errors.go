package h1

import "strconv"

// Error is a message that is refused. The connection that it came on is of no
// further use: where the next message would begin is not known.
type Error struct {
	Status int    // what to answer: 400, 414, 417, 431, 501 or 505 to a request, 502 for a response
	Reason string // what was wrong, in plain words
}

// Error returns the reason and the status.
func (e *Error) Error() string { return e.Reason + " (" + strconv.Itoa(e.Status) + ")" }

// rule is one rule of the format with both its errors, made beforehand so that
// refusing a message, as an attacker may make us do all day, allocates nothing.
type rule struct {
	request, response Error
}

// refuse makes a rule; status is the answer to a request that breaks it.
func refuse(status int, reason string) *rule {
	return &rule{Error{status, reason}, Error{502, reason}}
}

// incomplete is no error: the message is right as far as it has come.
var incomplete = refuse(400, "incomplete message")

// Rules of the bytes and lines of a head (RFC 9112, sections 2.2, 3 and 5).
var (
	bareCR       = refuse(400, "a CR that no LF follows")
	bareLF       = refuse(400, "an LF without CR before it")
	control      = refuse(400, "a control character in the head")
	foldedLine   = refuse(400, "a line that begins with white space (obsolete line folding)")
	nameEmpty    = refuse(400, "a field without a name")
	nameSpace    = refuse(400, "white space in a field name or before its colon")
	nameChar     = refuse(400, "a character in a field name that is not allowed there")
	nameNoColon  = refuse(400, "a field line without a colon")
	headTooLong  = refuse(431, "the head is too long")
	tooManyField = refuse(431, "too many header fields")
)

// Rules of the request line (RFC 9112, section 3).
var (
	badMethod     = refuse(400, "the method is not a token followed by one space")
	badTarget     = refuse(400, "a character in the request target that is not allowed there")
	emptyTarget   = refuse(400, "the request target is empty")
	badEscape     = refuse(400, "a % in the path of the request target that two hexadecimal digits do not follow")
	targetTooLong = refuse(414, "the request target is too long")
	targetForm    = refuse(400, "the request target is neither a path nor an absolute http or https URI")
	asteriskForm  = refuse(400, "the request target * is for OPTIONS alone")
	noConnect     = refuse(501, "CONNECT is not served here: this is a reverse proxy")
	badVersion    = refuse(400, "the HTTP version is malformed")
	otherVersion  = refuse(505, "the HTTP version is not 1.0 or 1.1")
)

// Rules of single fields.
var (
	hostMissing     = refuse(400, "an HTTP/1.1 request without Host")
	hostRepeated    = refuse(400, "more than one Host")
	badHost         = refuse(400, "the host is not a name, an IPv4 or a bracketed IPv6 address with an optional port")
	lengthRepeated  = refuse(400, "more than one Content-Length")
	badLength       = refuse(400, "Content-Length is not one decimal number")
	lengthOverflow  = refuse(400, "Content-Length is too large")
	bothLengths     = refuse(400, "both Content-Length and Transfer-Encoding")
	codingRepeated  = refuse(400, "more than one Transfer-Encoding")
	badCoding       = refuse(400, "Transfer-Encoding is not a list of codings that ends in chunked, named once")
	unknownCoding   = refuse(501, "a transfer coding other than chunked")
	codingIn10      = refuse(400, "Transfer-Encoding in an HTTP/1.0 message")
	badConnection   = refuse(400, "Connection is not a list of tokens")
	upgradeRepeated = refuse(400, "more than one Upgrade")
	badExpect       = refuse(417, "an expectation other than 100-continue")
)

// Rules of responses alone (RFC 9112, section 4 and section 6.1; RFC 9110,
// section 8.6 and section 15).
var (
	badStatusLine   = refuse(502, "the status line is malformed")
	badStatus       = refuse(502, "the status code is not a number from 100 to 599")
	lengthForbidden = refuse(502, "Content-Length or Transfer-Encoding in a 1xx or 204 response (but a length of 0 in a 204)")
	interimIn10     = refuse(502, "a 1xx response in HTTP/1.0")
	unasked101      = refuse(502, "101 Switching Protocols that was not asked for")
	bad101          = refuse(502, "101 Switching Protocols without Upgrade and Connection: upgrade")
)

// Rules of chunked bodies (RFC 9112, section 7.1).
var (
	badChunkSize   = refuse(400, "the chunk size is not 1 to 16 hexadecimal digits")
	chunkTooLarge  = refuse(400, "the chunk size is too large")
	badExtension   = refuse(400, "the chunk extension is malformed")
	chunkLineLong  = refuse(400, "the chunk extension is too long")
	chunkOverhead  = refuse(400, "the chunk extensions are out of proportion to the data")
	chunkEnd       = refuse(400, "the chunk data is not followed by CRLF")
	trailerTooLong = refuse(431, "the trailer section is too long")
	badTrailer     = refuse(400, "a trailer field that decides framing or routing")
)
