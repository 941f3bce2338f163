{{/* Where operator and hosts reach the image server: one URL, since signed orders name it. */}}
{{- define "innkeeper.imagesUrl" -}}
{{- $images := .Values.images -}}
{{- if $images.publicUrl -}}
{{- $images.publicUrl | trimSuffix "/" -}}
{{- else if not $images.enabled -}}
{{- fail "images.publicUrl is missing: without an image server of its own the chart must know where it is" -}}
{{- else -}}
{{- printf "%s://innkeeper-images.%s.svc:8090" (ternary "http" "https" (eq $images.tls.source "None")) .Release.Namespace -}}
{{- end -}}
{{- end }}

{{/* The Secret whose ca.crt vouches for the image server; nothing where everybody knows its authority. */}}
{{- define "innkeeper.imagesCaSecret" -}}
{{- if .Values.images.tls.publicAuthority -}}
{{- else if and .Values.images.enabled (eq .Values.images.tls.source "None") -}}
{{- else -}}
{{ .Values.images.tls.secretName }}
{{- end -}}
{{- end }}
