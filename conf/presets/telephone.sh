# shellcheck shell=bash disable=SC2034
# Speech over telephones: 8 kHz, features and VAD of Kaldi's egs/sre16; the rest as the default. docs/presets.md
corpus=synthetic       # conf/corpora/<corpus>.yaml; any rate is resampled
vad=8k                 # voice activity: conf/features/vad_<vad>.yaml
teacher=tdnn_half      # conf/teachers/<teacher>.yaml
teacher_set="input=mfcc_8k_cmn_voiced"  # values that replace those of the teacher's YAML
student=tdnn76         # conf/students/<student>.yaml
student_set="input=mfcc_8k_cmn_voiced"  # values that replace those of the student's YAML
students="label frame segment6 segment7 frame4+frame+segment6+segment7 segment6:lda_cosine"  # levels to distil, LEVELS or LEVELS:LOSS; label: labels alone
losses="mse"           # conf/losses/<loss>.yaml, each with each set of levels that names none
augmentation=telephone # half of the copies come over a GSM telephone; of recordings that did, --augmentation copies
backend_set="lda_dim=150"  # values that replace those of conf/backend.yaml
