package h1

import (
	"bytes"
	"io"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

// ReadRequest reads one request head from b, filling it as needed, into req,
// whose strings alias b. It consumes the head and holds it in b until the
// caller calls b.Drop; the body, which Body reads, follows in b.
//
// One empty line before the request line is skipped (RFC 9112, section 2.2).
// Started, if not nil, is called once when bytes of the head are there but not
// all of them: the moment from which the rest of it is being waited for.
//
// The error is io.EOF when the stream ended before the first byte of a
// request, io.ErrUnexpectedEOF in the middle of one, an *Error when it is
// refused, and else what Fill returned. Req is empty then.
func ReadRequest(b *buffer.Buffer, fill Filler, req *head.Request, lim *Limits, started func()) error {
	limits := lim.orDefault()
	w := waiter{b: b, fill: fill, max: limits.HeadBytes, started: started}
	err := w.first()
	if err == nil {
		err = w.skipEmptyLine()
	}
	for err == nil {
		n, r := parseRequest(req, w.bytes(), &limits)
		switch {
		case r == nil:
			b.Hold(n)
			return nil
		case r == incomplete && w.over == nil && w.ended == nil:
			err = w.more(targetTooLong)
		case r == incomplete && w.ended != nil:
			err = w.ended
		case r == incomplete:
			err = &w.over.request
		default:
			err = &r.request
		}
	}
	req.Reset()
	return err
}

// ReadResponse reads one response head, interim (1xx) or final, from b into
// res, as ReadRequest does; the caller loops over interim ones and drops each.
// Method is that of the request that is answered. Asked101 tells that it asked
// for an upgrade: without it, a 101 is refused.
//
// The error is io.EOF when the stream ended before the first byte, which is
// when another connection may be tried; else as for ReadRequest.
func ReadResponse(b *buffer.Buffer, fill Filler, method string, asked101 bool, res *head.Response, lim *Limits) error {
	limits := lim.orDefault()
	w := waiter{b: b, fill: fill, max: limits.HeadBytes}
	err := w.first()
	for err == nil {
		n, r := parseResponse(res, w.bytes(), method, asked101, &limits)
		switch {
		case r == nil:
			b.Hold(n)
			return nil
		case r == incomplete && w.over == nil && w.ended == nil:
			err = w.more(headTooLong)
		case r == incomplete && w.ended != nil:
			err = w.ended
		case r == incomplete:
			err = &w.over.response
		default:
			err = &r.response
		}
	}
	res.Reset()
	return err
}

// waiter waits for a whole head.
//
// A head is parsed at once in the hope that it is all there, as it nearly
// always is. If it is not, the waiter looks for its end in what comes, each
// byte once, and the head is parsed a second time when it is whole, or can
// never become so. Parsing goes strictly from front to back, so a head gives
// the same error whole as byte by byte.
type waiter struct {
	b       *buffer.Buffer
	fill    Filler
	max     int // bytes of a head
	started func()

	over  *rule // set: the head is as long as it may be; what it is if it is still incomplete
	ended error // set: no more bytes will come; what to return if the head is incomplete
}

// bytes returns what there is of the head, as far as it may reach.
func (w *waiter) bytes() []byte {
	p := w.b.Bytes()
	return p[:min(len(p), w.max)]
}

// first waits for the first byte.
func (w *waiter) first() error {
	for w.b.Len() == 0 {
		if err := w.fill.Fill(w.b); err != nil {
			return err
		}
	}
	return nil
}

// skipEmptyLine consumes one CRLF before the request line, and waits for the
// byte after it.
func (w *waiter) skipEmptyLine() error {
	if w.b.Bytes()[0] != '\r' {
		return nil
	}
	for w.b.Len() < 2 {
		if err := w.fillStarted(); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
	}
	if w.b.Bytes()[1] != '\n' {
		return nil // the parser says what is wrong
	}
	w.b.Consume(2)
	return w.first()
}

// more fills b until the head is worth parsing again. TargetLong is what a
// first line that never ends is.
func (w *waiter) more(targetLong *rule) error {
	for scanned, stop := 0, false; ; {
		p := w.bytes()
		if scanned, stop = scanSection(p, scanned); stop {
			w.over = headTooLong // not reached: the parser judges what stopped the scan
			return nil
		}
		if len(p) == w.max {
			w.over = headTooLong
			if bytes.IndexByte(p, '\n') < 0 {
				w.over = targetLong
			}
			return nil
		}
		if err := w.fillStarted(); err == io.EOF {
			w.ended = io.ErrUnexpectedEOF
			return nil
		} else if err != nil {
			return err
		}
	}
}

// fillStarted fills b while a head is under way.
func (w *waiter) fillStarted() error {
	if w.started != nil {
		w.started()
		w.started = nil
	}
	return w.fill.Fill(w.b)
}
