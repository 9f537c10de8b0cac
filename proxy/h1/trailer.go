package h1

import (
	"io"

	"sluice/proxy/head"
)

// readTrailers consumes the trailer section and with it the body. It is bound
// by DefaultLimits, as a head is.
func (d *Body) readTrailers() *rule {
	p := d.b.Bytes()
	if len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
		d.b.Consume(2)
		d.err = io.EOF
		return nil
	}
	p = p[:min(len(p), DefaultLimits.HeadBytes)]
	var stop bool
	if d.scanned, stop = scanSection(p, d.scanned); !stop {
		if len(p) == DefaultLimits.HeadBytes {
			return trailerTooLong
		}
		return incomplete
	}
	all, n, r := parseFields(p, alias(p), 0, DefaultLimits.Fields, d.trailers, nil)
	if r == incomplete {
		r = nameChar // cannot be: the scan stopped at a whole section or at a broken line
	}
	if r == nil {
		d.trailers, r = keepTrailers(all)
	}
	if r != nil {
		return r
	}
	d.b.Consume(n)
	d.err = io.EOF
	return nil
}

// keepTrailers judges trailer fields (RFC 9110, section 6.5.1) and returns, in
// place, those that may be passed on.
func keepTrailers(fields []head.Field) ([]head.Field, *rule) {
	kept := fields[:0]
	for _, f := range fields {
		switch f.ID {
		case head.ContentLength, head.TransferEncoding, head.Host, head.Connection, head.Upgrade:
			return nil, badTrailer
		case head.Other:
			if !head.HeaderOnly(f.Name) {
				kept = append(kept, f)
			}
		}
	}
	return kept, nil
}
