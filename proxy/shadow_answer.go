package proxy

import (
	"unsafe"

	"sluice/proxy/head"
)

// shadowAnswer is an answer as it is kept to be compared.
type shadowAnswer struct {
	ShadowAnswer
	text   []byte // that Fields alias
	kept   bool   // the head was
	length int64  // of the body; below 0: not known
}

// fieldSize is the memory of a field, without its text.
const fieldSize = int(unsafe.Sizeof(head.Field{}))

// keepHead keeps the head of an answer, whose body follows by keepBody. It
// reports false where there is no memory for it.
func (a *shadowAnswer) keepHead(sh *shadowed, res *head.Response) bool {
	count, size := 0, 0
	for i := range res.Fields {
		if f := &res.Fields[i]; f.Name != "" {
			count++
			size += len(f.Name) + len(f.Value)
		}
	}
	if cap(a.Fields) < count {
		if !sh.take(int64((count - cap(a.Fields)) * fieldSize)) {
			return false
		}
		a.Fields = make([]head.Field, 0, count)
	}
	var room bool
	if a.text, room = sh.grown(a.text[:0], size, 0); !room {
		return false
	}
	for i := range res.Fields {
		if f := &res.Fields[i]; f.Name != "" {
			a.Fields = append(a.Fields, head.Field{ID: f.ID, Name: a.keepText(f.Name), Value: a.keepText(f.Value)})
		}
	}
	a.Status, a.length, a.kept = res.Status, res.Length, true
	a.Cut = res.Length > sh.maxBody
	return true
}

// keepText copies text into memory that has room for it.
func (a *shadowAnswer) keepText(s string) string {
	at := len(a.text)
	a.text = append(a.text, s...)
	return view(a.text[at:])
}

// keepBody keeps some of the body, as long as the limit; of a longer one, nothing.
// It reports false where there is no memory for it.
func (a *shadowAnswer) keepBody(sh *shadowed, data []byte) bool {
	if a.Cut {
		return true
	}
	if int64(len(a.Body)+len(data)) > sh.maxBody {
		a.cut(sh)
		return true
	}
	most := sh.maxBody
	if a.length >= 0 {
		most = a.length
	}
	var room bool
	if a.Body, room = sh.grown(a.Body, len(data), int(most)); room {
		a.Body = append(a.Body, data...)
	}
	return room
}

// cut drops what was kept of a body that is not whole. An answer may go on for
// hours yet.
func (a *shadowAnswer) cut(sh *shadowed) {
	sh.giveBack(int64(cap(a.Body)))
	a.Body, a.Cut = nil, true
}

// reset empties the answer and keeps what memory is worth keeping.
func (a *shadowAnswer) reset() {
	clear(a.Fields)
	fields := a.Fields[:0]
	if cap(fields)*fieldSize > maxKeptShadow {
		fields = nil
	}
	*a = shadowAnswer{ShadowAnswer: ShadowAnswer{Fields: fields, Body: keepable(a.Body)}, text: keepable(a.text)}
}

// memory is how much the answer holds.
func (a *shadowAnswer) memory() int {
	return cap(a.Fields)*fieldSize + cap(a.Body) + cap(a.text)
}

// maxKeptShadow is the longest memory, in bytes, that one that is pooled keeps.
const maxKeptShadow = 16 << 10

// keepable empties memory, or drops it if it is long.
func keepable(mem []byte) []byte {
	if cap(mem) > maxKeptShadow {
		return nil
	}
	return mem[:0]
}
