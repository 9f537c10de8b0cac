package replay

import (
	"net/http"
	"strings"
	"time"

	"sluice/proxy/head"
)

// The bounds of a session's cookies.
const (
	maxCookies = 20
	maxJar     = 4096 // bytes
)

// jar keeps the cookies that a session was given, by the host that gave them.
// Of their attributes only those count that take a cookie back: the requests
// are those that the browsers made, which looked at the rest. Its zero value is
// empty.
type jar struct {
	cookies []cookie
	size    int
}

type cookie struct{ host, name, value string }

func (c cookie) size() int { return len(c.host) + len(c.name) + len(c.value) }

// field returns the Cookie field for a host; "" for none.
func (j *jar) field(host string) string {
	var all []byte
	for _, c := range j.cookies {
		if c.host != host {
			continue
		}
		if len(all) > 0 {
			all = append(all, "; "...)
		}
		all = append(all, c.name...)
		all = append(all, '=')
		all = append(all, c.value...)
	}
	return string(all)
}

// keep takes a response's Set-Cookie fields. What has no room is left out.
func (j *jar) keep(host string, fields []head.Field, now time.Time) {
	for _, f := range fields {
		if f.ID != head.SetCookie {
			continue
		}
		given, err := http.ParseSetCookie(strings.Clone(f.Value))
		if err != nil {
			continue
		}
		j.remove(host, given.Name)
		if given.MaxAge < 0 || given.MaxAge == 0 && !given.Expires.IsZero() && given.Expires.Before(now) {
			continue
		}
		c := cookie{host, given.Name, given.Value}
		if len(j.cookies) < maxCookies && j.size+c.size() <= maxJar {
			j.cookies = append(j.cookies, c)
			j.size += c.size()
		}
	}
}

func (j *jar) remove(host, name string) {
	for i, c := range j.cookies {
		if c.host == host && c.name == name {
			j.cookies = append(j.cookies[:i], j.cookies[i+1:]...)
			j.size -= c.size()
			return
		}
	}
}
