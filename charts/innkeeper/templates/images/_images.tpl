{{/* Where operator and hosts reach the image server: one URL, since signed orders name it. */}}
{{- define "innkeeper.imagesUrl" -}}
{{- $images := .Values.images -}}
{{- if $images.publicUrl -}}
{{- $images.publicUrl | trimSuffix "/" -}}
{{- else if not $images.enabled -}}
{{- fail "images.publicUrl is missing: without an image server of its own the chart must know where it is" -}}
{{- else -}}
{{- printf "%s://innkeeper-images.%s.svc:%d" (ternary "http" "https" (eq $images.tls.source "None")) .Release.Namespace (int $images.service.port) -}}
{{- end -}}
{{- end }}

{{/*
The volume whose ca.crt vouches for the image server; nothing where everybody knows its authority. A ConfigMap as soon as the
authority is known: whoever breaks into a node reads the Secrets of its pods whole, the key beside ca.crt too.
*/}}
{{- define "innkeeper.imagesCaVolume" -}}
{{- include "innkeeper.certificates" . -}}
{{- $tls := .Values.images.tls -}}
{{- if and $tls.publicAuthority $tls.caBundle -}}
{{- fail "images.tls.publicAuthority and images.tls.caBundle are both set: everybody knows the authority, or the bundle is it" -}}
{{- end -}}
{{- if and (or $tls.publicAuthority $tls.caBundle) (hasPrefix "http:" (include "innkeeper.imagesUrl" .)) -}}
{{- fail "images.tls.publicAuthority and caBundle are of no use: images are fetched by plain http, so nobody shows a certificate" -}}
{{- end -}}
{{- if and (or (ne $tls.source "None") $tls.caBundle) (not $tls.publicAuthority) (hasPrefix "https:" (include "innkeeper.imagesUrl" .)) -}}
{{- if .Values.made.imagesAuthority -}}
configMap: {name: innkeeper-images-ca}
{{- else if and (not .Values.images.enabled) (ne $tls.source "Existing") -}}
{{- fail "images.tls.caBundle is missing: the image server at images.publicUrl is none of this chart, so its authority must be given (PEM, base64), or images.tls.publicAuthority" -}}
{{- else -}}
secret:
  secretName: {{ $tls.secretName }}
  items: [{key: ca.crt, path: ca.crt}]
{{- end -}}
{{- end -}}
{{- end }}

{{/* The same for hosts, which never get that Secret. */}}
{{- define "innkeeper.imagesCaVolumeOfHosts" -}}
{{- $volume := include "innkeeper.imagesCaVolume" . | fromYaml -}}
{{- if hasKey $volume "secret" -}}
{{- fail "images.tls.caBundle is missing: hosts need the authority of the image server (PEM, base64), or images.tls.publicAuthority" -}}
{{- end -}}
{{- if $volume }}{{ toYaml $volume }}{{ end -}}
{{- end }}
