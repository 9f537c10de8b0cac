package record

import (
	"mime"
	"path"
	"slices"
	"strings"
)

// assetKinds are what browsers fetch to show a page, as DevTools names them.
var assetKinds = []string{"stylesheet", "script", "image", "media", "font", "texttrack", "manifest", "ping", "cspviolationreport", "prefetch", "signedexchange"}

// assetTypes are media types of static assets.
var assetTypes = []string{"text/css", "text/javascript", "application/javascript", "application/x-javascript", "application/wasm", "application/manifest+json",
	"text/vtt", "application/font-woff", "application/font-woff2", "application/vnd.ms-fontobject"}

// assetEndings are those of their names.
var assetEndings = []string{".css", ".js", ".mjs", ".map", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".ico", ".bmp",
	".woff", ".woff2", ".ttf", ".otf", ".eot", ".mp3", ".mp4", ".webm", ".ogg", ".wasm", ".webmanifest"}

// isAsset tells whether a request is for a static asset. What a script asks for
// (xhr, fetch) is none, whatever its type.
func isAsset(e *Exchange) bool {
	kind := strings.ToLower(e.Kind)
	switch {
	case slices.Contains(assetKinds, kind):
		return true
	case e.Method != "GET" && e.Method != "HEAD", kind == "document", kind == "xhr", kind == "fetch":
		return false
	}
	t := mediaType(e.Type)
	if slices.Contains(assetTypes, t) || strings.HasPrefix(t, "image/") || strings.HasPrefix(t, "font/") || strings.HasPrefix(t, "video/") || strings.HasPrefix(t, "audio/") {
		return true
	}
	return slices.Contains(assetEndings, strings.ToLower(path.Ext(e.URL.Path))) // whose type tells of nothing, or of the page of an error
}

// mediaType returns a media type without its parameters, in small letters.
func mediaType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil {
		t, _, _ = strings.Cut(s, ";")
	}
	return strings.ToLower(strings.TrimSpace(t))
}

// isJSON tells whether a media type is one of JSON.
func isJSON(t string) bool {
	t = mediaType(t)
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}
