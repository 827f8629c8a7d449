# shellcheck shell=bash disable=SC2034
# The protocol of Kaldi's egs/voxceleb/v2, with the paper's students: give --voxceleb1-root, --voxceleb2-root, --musan
# and --rirs. docs/presets.md says what is Kaldi's exactly, and what is not.
needs="musan rirs"     # options that this preset cannot do without
corpus=voxceleb        # conf/corpora/<corpus>.yaml
corpus_set="options.train_parts=[vox2_dev,vox2_test,vox1_dev] options.dev_speakers=0"  # values that replace those of the corpus's YAML: nobody is held out
teacher=tdnn_kaldi     # conf/teachers/<teacher>.yaml: softmax; 401 voiced frames, 8 utterances a speaker
student=tdnn152        # conf/students/<student>.yaml
student_set="training.min_frames=401 training.min_utterances=8 training.reader_workers=8"  # values that replace those of the student's YAML: trained on what the teacher is
students="label frame stats segment6 segment7 frame4+frame+segment6+segment7"  # levels to distil, LEVELS or LEVELS:LOSS; label: labels alone
losses="mse"           # conf/losses/<loss>.yaml, each with each set of levels that names none
augmentation=kaldi     # a million copies: rooms, noise, music, babble
noise_set="vocals=true held_out=0"  # values that replace those of conf/noise.yaml: all of MUSAN
noisy_sets=""          # sets that get a noisy twin: no noise is held out for them
backend_copies=false   # LDA and PLDA learn from the clean recordings
evaluation_set="p_targets=[0.01,0.001]"  # values that replace those of conf/evaluation.yaml: the priors that Kaldi reports
