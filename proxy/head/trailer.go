package head

// headerOnly lists the fields, besides those that have an ID, that
// mean nothing good after the body: a recipient that merged them into the
// header would let the sender change, past every check, how a message is
// authenticated, cached, routed or decoded (RFC 9110, section 6.5.1).
var headerOnly = [...]string{
	"accept", "accept-charset", "accept-encoding", "accept-language", "age",
	"content-encoding", "content-language", "content-location", "content-range",
	"expires", "http2-settings", "if-match", "if-modified-since", "if-none-match",
	"if-range", "if-unmodified-since", "location", "max-forwards", "pragma",
	"range", "referer", "retry-after", "vary", "warning", "www-authenticate",
	"sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key",
	"sec-websocket-protocol", "sec-websocket-version",
}

// HeaderOnly reports whether a field with this name, which has no ID, is
// dropped where it comes as a trailer.
func HeaderOnly(name string) bool {
	const forwarded = "x-forwarded-"
	if len(name) > len(forwarded) && EqualFold(name[:len(forwarded)], forwarded) {
		return true
	}
	for _, lower := range headerOnly {
		if EqualFold(name, lower) {
			return true
		}
	}
	return false
}
