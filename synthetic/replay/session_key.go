package replay

import "errors"

// SessionOf returns the Session of requests that are held together by a value of
// a cookie or field, as Layout.Session names it.
func SessionOf(value string) string { return "k" + value }

// IsLongLine tells whether an error of Source.Next is of one line alone, which was
// too long to be one.
func IsLongLine(err error) bool { return errors.Is(err, errLongLine) }
