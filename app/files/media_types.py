"""Media types by file name: one pinned table, the same on every machine (RFC 9110 section 8.3).

The registered type where IANA has one, else the one that browsers and their peers use. Nothing is
read from the machine, where tables differ.
"""

DEFAULT = "application/octet-stream"
_TEXT, _JSON = "text/plain", "application/json"

# A compressed archive is what it is (application/gzip), not a coding of something else: clients
# must store it as it is. The exception is .svgz (compression.is_packed). text/javascript: RFC 9239.
# ".ts" is a film's stream: as a source it is built before it is served.
_TABLE = """
text/html                    html htm
text/css                     css
text/javascript              js mjs cjs
text/plain                   txt text log conf cfg ini asc srt env properties list in def nfo
text/plain                   jsx tsx vue svelte scss sass less coffee
text/plain                   go rs rb pl pm php kt kts swift scala clj hs ml lua r jl dart zig nim
text/plain                   cs fs vb groovy gradle cmake mk bat cmd ps1 bash zsh fish ksh awk
text/plain                   diff patch proto thrift sum mod lock rtx
text/plain                   md5 sha1 sha256 sha512 sha256sum sha512sum
text/x-c                     c h cc cpp cxx hh hpp hxx
text/x-java-source           java
text/x-python                py pyi pyw
text/csv                     csv
text/tab-separated-values    tsv
text/markdown                md markdown mdown
text/x-rst                   rst
text/asciidoc                adoc asciidoc
text/calendar                ics ifb
text/vcard                   vcf vcard
text/vtt                     vtt
text/turtle                  ttl
text/n3                      n3
text/sgml                    sgml sgm
text/troff                   t tr roff man me ms
text/uri-list                uri uris
text/x-bibtex                bib
text/x-setext                etx
text/vnd.graphviz            gv

application/json             json map json5 ipynb har topojson avsc
application/ld+json          jsonld
application/geo+json         geojson
application/manifest+json    webmanifest
application/feed+json        jsonfeed
application/x-ndjson         ndjson
application/jsonl            jsonl
application/xml              xml xsd wsdl plist xpdl
application/xhtml+xml        xhtml xht
application/xslt+xml         xsl xslt
application/rdf+xml          rdf owl
application/rss+xml          rss
application/atom+xml         atom
application/gpx+xml          gpx
application/opensearchdescription+xml  osdx
application/ttml+xml         ttml dfxp
application/mathml+xml       mathml mml
application/yaml             yaml yml
application/toml             toml
application/sql              sql
application/graphql          graphql gql
application/n-triples        nt
application/n-quads          nq
application/trig             trig
application/sparql-query     rq
application/cbor             cbor
application/wasm             wasm
application/x-sh             sh
application/x-csh            csh
application/x-tcl            tcl tk
application/x-tex            tex
application/x-latex          latex
application/x-texinfo        texinfo texi

application/pdf              pdf
application/rtf              rtf
application/postscript       ps eps ai
application/epub+zip         epub
application/x-mobipocket-ebook  mobi prc
application/vnd.amazon.mobi8-ebook  azw3
application/vnd.comicbook+zip  cbz
application/vnd.comicbook-rar  cbr
application/x-dvi            dvi
image/vnd.djvu               djvu djv
application/vnd.ms-htmlhelp  chm
message/rfc822               eml mht mhtml
application/mbox             mbox
application/msword           doc dot
application/vnd.ms-excel     xls xlt
application/vnd.ms-powerpoint  ppt pps pot
application/vnd.openxmlformats-officedocument.wordprocessingml.document     docx
application/vnd.openxmlformats-officedocument.wordprocessingml.template     dotx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet           xlsx
application/vnd.openxmlformats-officedocument.spreadsheetml.template        xltx
application/vnd.openxmlformats-officedocument.presentationml.presentation   pptx
application/vnd.openxmlformats-officedocument.presentationml.slideshow      ppsx
application/vnd.ms-excel.sheet.macroenabled.12            xlsm
application/vnd.ms-word.document.macroenabled.12          docm
application/vnd.ms-powerpoint.presentation.macroenabled.12  pptm
application/vnd.oasis.opendocument.text          odt
application/vnd.oasis.opendocument.spreadsheet   ods
application/vnd.oasis.opendocument.presentation  odp
application/vnd.oasis.opendocument.graphics      odg
application/vnd.visio        vsd
application/vnd.apple.pages  pages
application/vnd.apple.numbers  numbers
application/vnd.apple.keynote  key

image/svg+xml                svg svgz
image/png                    png
image/apng                   apng
image/jpeg                   jpg jpeg jpe jfif
image/gif                    gif
image/webp                   webp
image/avif                   avif
image/avif-sequence          avifs
image/jxl                    jxl
image/jp2                    jp2
image/heic                   heic
image/heif                   heif
image/vnd.microsoft.icon     ico cur
image/bmp                    bmp dib
image/tiff                   tif tiff
image/ktx2                   ktx2
image/ktx                    ktx
image/vnd.ms-dds             dds
image/vnd.radiance           hdr
image/x-exr                  exr
image/vnd.adobe.photoshop    psd
image/x-adobe-dng            dng
image/x-canon-cr2            cr2
image/x-nikon-nef            nef
image/x-sony-arw             arw
image/vnd.dxf                dxf
image/vnd.dwg                dwg
image/x-portable-bitmap      pbm
image/x-portable-graymap     pgm
image/x-portable-pixmap      ppm
image/x-portable-anymap      pnm
image/x-xbitmap              xbm
image/x-xpixmap              xpm
image/x-tga                  tga

audio/mpeg                   mp3 mp2 mpga
audio/mp4                    m4a m4b m4r
audio/aac                    aac adts
audio/ogg                    oga ogg opus spx
audio/flac                   flac
audio/wav                    wav
audio/webm                   weba
audio/midi                   mid midi kar
audio/aiff                   aif aiff aifc
audio/amr                    amr
audio/basic                  au snd
audio/x-caf                  caf
audio/x-matroska             mka
audio/x-ms-wma               wma
audio/vnd.apple.mpegurl      m3u
audio/x-scpls                pls
audio/x-mod                  xm s3m it
video/mp4                    mp4 m4v mp4v m4s cmfv
video/webm                   webm
video/ogg                    ogv
video/quicktime              mov qt
video/matroska               mkv
video/x-msvideo              avi
video/mpeg                   mpeg mpg mpe m1v m2v
video/mp2t                   ts m2ts mts
video/3gpp                   3gp 3gpp
video/3gpp2                  3g2
video/x-flv                  flv
video/x-ms-wmv               wmv
video/x-ms-asf               asf
application/mxf              mxf
application/vnd.apple.mpegurl  m3u8
application/dash+xml         mpd
application/smil+xml         smil
text/x-ssa                   ass ssa

font/woff                    woff
font/woff2                   woff2
font/ttf                     ttf
font/otf                     otf
font/collection              ttc otc
application/vnd.ms-fontobject  eot
application/x-font-type1     pfb pfa
application/x-font-bdf       bdf
application/x-font-pcf       pcf

model/gltf-binary            glb
model/gltf+json              gltf
model/vnd.usdz+zip           usdz
model/vnd.usda               usda
model/stl                    stl
model/obj                    obj
model/mtl                    mtl
model/3mf                    3mf
model/step                   step stp
model/iges                   iges igs
model/vnd.collada+xml        dae
model/x3d+xml                x3d
model/ply                    ply
text/x-gcode                 gcode

application/vnd.google-earth.kml+xml  kml
application/vnd.google-earth.kmz      kmz
application/vnd.pmtiles      pmtiles
application/vnd.mapbox-vector-tile    mvt pbf
application/vnd.sqlite3      sqlite sqlite3 mbtiles gpkg
application/x-esri-shape     shp
application/vnd.shp          shx
application/vnd.dbf          dbf
application/vnd.apache.parquet  parquet
application/vnd.apache.arrow.file    arrow feather
application/vnd.apache.arrow.stream  arrows
application/avro             avro
application/x-hdf5           h5 hdf5 he5
application/x-hdf            hdf
application/x-netcdf         nc cdf
application/fits             fits fit
application/dicom            dcm
chemical/x-pdb               pdb
chemical/x-mdl-sdfile        sdf
application/x-numpy          npy npz
application/gml+xml          gml
application/geopackage+sqlite3  gpkgx

application/zip              zip whl egg xapk apks
application/gzip             gz tgz
application/x-bzip2          bz2 tbz2 tbz
application/x-xz             xz txz
application/zstd             zst tzst
application/x-lz4            lz4
application/x-lzip           lz
application/x-lzma           lzma
application/x-compress       z
application/x-tar            tar
application/x-7z-compressed  7z
application/vnd.rar          rar
application/x-cpio           cpio
application/vnd.ms-cab-compressed  cab
application/x-archive        a ar
application/java-archive     jar war ear
application/x-java-pack200   pack
application/x-java-jnlp-file jnlp
application/vnd.android.package-archive  apk
application/vnd.debian.binary-package    deb udeb
application/x-rpm            rpm
application/vnd.snap         snap
application/vnd.flatpak      flatpak
application/vnd.flatpak.ref  flatpakref
application/vnd.flatpak.repo flatpakrepo
application/vnd.appimage     appimage
application/x-iso9660-image  iso
application/x-apple-diskimage  dmg
application/x-qemu-disk      qcow2
application/x-virtualbox-ova ova
application/vnd.microsoft.portable-executable  exe dll
application/x-msi            msi
application/msix             msix msixbundle
application/appx             appx appxbundle
application/appinstaller     appinstaller
application/x-xpinstall      xpi
application/x-chrome-extension  crx
application/x-bittorrent     torrent
application/x-nupkg          nupkg
application/x-ruby-gem       gem
application/octet-stream     aab ipa pkg bin img so dylib o obb br sig gpg pyc dat

application/pgp-signature    pgp
application/pkix-cert        cer crt
application/x-pem-file       pem
application/pkix-crl         crl
application/pkcs10           p10 csr
application/pkcs7-mime       p7m p7c
application/x-pkcs7-certificates  p7b
application/x-pkcs12         p12 pfx
application/vnd.apple.pkpass pkpass
application/vnd.apple.pkpasses  pkpasses
application/x-apple-aspen-config  mobileconfig
application/x-apple-aspen-mobileprovision  mobileprovision
application/x-ns-proxy-autoconfig  pac
application/x-web-app-manifest+json  webapp
application/vnd.ms-windows-rdp  rdp
application/x-shockwave-flash  swf
application/x-virt-viewer    vv
"""
_TYPES = {
    extension: media_type
    for media_type, *extensions in map(str.split, filter(None, _TABLE.splitlines()))
    for extension in extensions
}

# Names without an extension that people read, compared in upper case
_TEXTS = frozenset(
    [
        "README",
        "LICENSE",
        "LICENCE",
        "COPYING",
        "COPYRIGHT",
        "NOTICE",
        "PATENTS",
        "AUTHORS",
        "CONTRIBUTORS",
        "MAINTAINERS",
        "OWNERS",
        "CREDITS",
        "THANKS",
        "CHANGELOG",
        "CHANGES",
        "NEWS",
        "HISTORY",
        "TODO",
        "INSTALL",
        "HACKING",
        "CONTRIBUTING",
        "VERSION",
        "RELEASE",
        "MAKEFILE",
        "DOCKERFILE",
        "CONTAINERFILE",
        "VAGRANTFILE",
        "GEMFILE",
        "RAKEFILE",
        "PROCFILE",
        "JUSTFILE",
        "CODEOWNERS",
        "MD5SUMS",
        "SHA1SUMS",
        "SHA256SUMS",
        "SHA512SUMS",
        "CHECKSUMS",
        "PACKAGES",
        "SOURCES",
        "INRELEASE",
        "MANIFEST",
    ]
)
# Documents whose address is fixed, and has no extension
_WELL_KNOWN = {
    "apple-app-site-association": _JSON,
    "openid-configuration": _JSON,
    "oauth-authorization-server": _JSON,
    "webfinger": "application/jrd+json",
    "nodeinfo": _JSON,
    "security.txt": _TEXT,
    "host-meta": "application/xrd+xml",
    "traffic-advice": "application/trafficadvice+json",
    "api-catalog": "application/linkset+json",
}


def media_type_of(name: bytes) -> str:
    """Return the media type of a file called *name*, without a charset; directories are ignored."""
    base = name.rpartition(b"/")[2].decode("ascii", "replace")
    stem, dot, extension = base.rpartition(".")
    if dot and stem.strip("."):  # the dots that a name begins with are no extension's
        return _TYPES.get(extension.lower(), DEFAULT)
    return _WELL_KNOWN.get(base) or (_TEXT if base.upper() in _TEXTS else DEFAULT)
