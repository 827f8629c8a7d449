# shellcheck shell=bash disable=SC2034
# The paper's sizes: a teacher of 4.48 M parameters, students of width 152, every set of levels.
corpus=synthetic       # conf/corpora/<corpus>.yaml
teacher=tdnn           # conf/teachers/<teacher>.yaml
student=tdnn152        # conf/students/<student>.yaml
students="label frame stats segment6 segment7 frame+segment6 frame4+frame+segment6+segment7"  # levels to distil, LEVELS or LEVELS:LOSS; label: labels alone
losses="mse cosine both lda_cosine"  # conf/losses/<loss>.yaml, each with each set of levels that names none
