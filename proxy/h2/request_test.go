package h2

import (
	"strings"
	"testing"

	"sluice/proxy/head"
)

// fieldsOf makes fields of names and values.
func fieldsOf(pairs ...string) (fields []head.Field) {
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, head.Field{ID: head.Identify(pairs[i]), Name: pairs[i], Value: pairs[i+1]})
	}
	return fields
}

func TestRequestIsWhatHTTP1WouldHaveRead(t *testing.T) {
	var req head.Request
	fields := fieldsOf(":method", "POST", ":authority", "a.example:443", ":scheme", "https", ":path", "/a/b?c=d", "content-length", "7", "expect", "100-Continue", "te", "trailers")
	if r := Request(&req, fields, false, 100); r != nil {
		t.Fatal(r)
	}
	if req.Method != "POST" || req.Host != "a.example:443" || req.Target != "/a/b?c=d" || req.Path != "/a/b" || req.Query != "c=d" ||
		req.Length != 7 || !req.ExpectContinue || req.Proto != head.HTTP2 || len(req.Fields) != 3 || req.Upgrade != "" {
		t.Errorf("%+v", req)
	}
	if r := Request(&req, fieldsOf(":method", "GET", ":scheme", "http", ":path", "/", "host", "b"), true, 100); r != nil || req.Host != "b" || req.Length != 0 {
		t.Errorf("%v, %+v", r, req)
	}
	if r := Request(&req, fieldsOf(":method", "PUT", ":scheme", "http", ":path", "/", "host", "B", ":authority", "b"), true, 100); r != pseudoLate {
		t.Error(r)
	}
	if r := Request(&req, fieldsOf(":method", "PUT", ":scheme", "http", ":path", "/", ":authority", "b", "host", "B"), false, 100); r != nil || req.Length != head.Chunked {
		t.Errorf("%v, %+v", r, req)
	}
	if r := Request(&req, fieldsOf(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "b"), false, 100); r != nil ||
		req.Method != "GET" || req.Upgrade != "websocket" || req.Length != 0 {
		t.Errorf("%v, %+v", r, req)
	}
	if r := Request(&req, fieldsOf(":method", "GET", ":scheme", "http", ":path", "/"+strings.Repeat("x", 100), ":authority", "b"), true, 100); r != pathTooLong {
		t.Error(r)
	}
}

func TestTrailersThatMayPass(t *testing.T) {
	kept, r := Trailers(fieldsOf("x-sum", "1", "authorization", "x", "range", "y", "grpc-status", "0"))
	if r != nil || len(kept) != 2 || kept[0].Name != "x-sum" || kept[1].Name != "grpc-status" {
		t.Errorf("%v, %v", kept, r)
	}
	for _, bad := range []string{":path", "content-length", "host", "transfer-encoding", "connection"} {
		if _, r := Trailers(fieldsOf("x", "y", bad, "1")); r == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// FuzzRequest: what is taken can be written as HTTP/1.1 without a second
// meaning.
func FuzzRequest(f *testing.F) {
	f.Add(":method\nGET\n:scheme\nhttp\n:path\n/a?b\n:authority\na.example\nx\ny", true)
	f.Add(":method\nCONNECT\n:protocol\nwebsocket\n:scheme\nhttp\n:path\n/\n:authority\na", false)
	f.Add(":method\nPOST\n:scheme\nhttps\n:path\n*\nhost\n[::1]:80\ncontent-length\n5", false)
	f.Fuzz(func(t *testing.T, text string, end bool) {
		var req head.Request
		if r := Request(&req, fieldsOf(strings.Split(text, "\n")...), end, 1000); r != nil {
			if r.Reason == "" || r.Status != 0 && (r.Status < 400 || r.Status > 599) {
				t.Errorf("%+v", r)
			}
			return
		}
		if strings.ContainsAny(req.Method+req.Target+req.Host, " \r\n\t\x00") || req.Method == "" || req.Target == "" || req.Host == "" {
			t.Errorf("%+v", req)
		}
		if req.Target[0] != '/' && req.Target != "*" || len(req.Target) > 1000 || req.Length < head.Chunked || end && req.Length != 0 {
			t.Errorf("%+v", req)
		}
		for _, field := range req.Fields {
			if field.Name != "" && field.Name[0] == ':' || field.ID == head.Connection || field.ID == head.TransferEncoding {
				t.Errorf("%v passes", field)
			}
		}
	})
}
