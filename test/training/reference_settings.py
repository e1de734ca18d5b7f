# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The published settings (DPPO, version 0.8) as tables, written down independently of the YAML.

The first pattern that fits a file's name gives its row. `-` stands for "not published".
"""

PRETRAIN = """
file                               T   H  act batch epochs lr   min_lr warm decay
gym/*_gaussian                     -   1  1   128   200    1e-4 1e-4   1    1e-6
gym/*_chunk1                       20  1  1   128   200    1e-3 1e-4   1    1e-6
gym/*                              20  4  4   128   200    1e-3 1e-4   1    1e-6
kitchen/mixed                      20  4  4   256   3000   1e-3 1e-4   1    1e-6
kitchen/partial                    20  4  4   128   3000   1e-3 1e-4   1    1e-5
kitchen/complete                   20  4  4   128   3000   1e-3 1e-4   1    1e-6
robomimic/*_chunk1                 20  1  1   256   3000   1e-4 1e-5   100  1e-6
robomimic/transport_pixel_unet     100 16 8   256   2000   1e-4 1e-5   100  1e-6
robomimic/transport_pixel_mlp      100 8  8   256   2000   1e-4 1e-5   100  1e-6
robomimic/transport_gaussian_pixel -   8  8   256   2000   1e-4 1e-5   100  1e-6
robomimic/transport_unet           20  16 8   256   3000   1e-4 1e-5   100  1e-6
robomimic/transport_mlp            20  8  8   256   3000   1e-4 1e-5   100  1e-6
robomimic/transport_*              -   8  8   256   3000   1e-4 1e-5   100  1e-6
robomimic/*_gaussian_pixel         -   4  4   256   2000   1e-4 1e-5   100  1e-6
robomimic/*_pixel_*                100 4  4   256   2000   1e-4 1e-5   100  1e-6
robomimic/*_g*_*                   -   4  4   256   3000   1e-4 1e-5   100  1e-6
robomimic/*                        20  4  4   256   3000   1e-4 1e-5   100  1e-6
furniture/paper/*_gaussian_mlp     -   8  8   256   3000   1e-4 1e-5   100  1e-6
furniture/paper/*_unet             100 16 8   256   8000   1e-4 1e-5   100  1e-6
furniture/paper/*_mlp              100 8  8   256   8000   1e-4 1e-5   100  1e-6
d3il/*_g*_mlp                      -   4  4   16    5000   1e-4 1e-5   100  1e-6
d3il/*_mlp                         20  4  4   16    5000   1e-4 1e-5   100  1e-6
"""

FINETUNE = """
file                               K  N    M    itr  gamma g_den clip  base  rate lr   min_lr warm batch acc epochs steps critic reset std
gym/*_scratch_gaussian             1  10   1000 -    0.99  -     0.1   -     -    1e-4 1e-4   10   500   1   10     200   0      no    -
gym/*_scratch_diffusion            10 10   1000 -    0.99  1     0.1   0.1   3    1e-4 1e-4   10   5000  1   10     200   0      no    0.1
gym/halfcheetah_chunk1             10 20   1000 501  0.99  0.99  0.01  0.01  3    1e-4 1e-4   10   10000 1   5      100   0      no    0.1
gym/*                              10 40   500  1000 0.99  0.99  0.01  0.01  3    1e-4 1e-4   10   50000 1   5      20    0      no    0.1
kitchen/*                          10 40   70   301  0.99  0.99  0.01  0.01  3    1e-4 1e-4   10   5600  1   10     50    0      no    0.1
robomimic/can_mh_chunk1            10 50   300  151  0.999 0.99  0.01  0.001 3    1e-4 1e-4   10   15000 1   10     100   2      yes   0.1
robomimic/square_mh_chunk1         10 50   400  201  0.999 0.99  0.01  0.001 3    1e-4 1e-4   0    20000 1   10     100   2      yes   0.1
robomimic/can_ph_chunk1            10 40   300  151  0.999 0.9   0.01  0.001 3    1e-4 1e-4   10   6000  1   10     200   2      yes   0.1
robomimic/square_ph_chunk1         10 40   400  201  0.999 0.9   0.01  0.001 3    1e-4 1e-4   0    8000  1   10     200   2      yes   0.1
robomimic/lift_gaussian_pixel      1  50   300  81   0.999 -     0.01  -     -    1e-4 1e-4   10   1500  5   10     20    2      yes   -
robomimic/can_gaussian_pixel       1  50   300  151  0.999 -     0.01  -     -    1e-4 1e-4   10   1500  5   10     20    2      yes   -
robomimic/square_gaussian_pixel    1  50   400  301  0.999 -     0.01  -     -    1e-5 1e-5   10   1000  10  10     20    2      yes   -
robomimic/transport_gaussian_pixel 1  50   400  201  0.999 -     0.01  -     -    1e-5 1e-5   10   1000  10  10     20    2      yes   -
robomimic/can_gmm_transformer      1  50   300  151  0.999 -     0.01  -     -    1e-5 1e-5   10   7500  1   10     20    2      yes   -
robomimic/lift_g*                  1  50   300  81   0.999 -     0.01  -     -    1e-4 1e-4   10   7500  1   10     20    2      yes   -
robomimic/can_g*                   1  50   300  151  0.999 -     0.01  -     -    1e-4 1e-4   10   7500  1   10     20    2      yes   -
robomimic/square_g*                1  50   400  201  0.999 -     0.01  -     -    1e-4 1e-4   0    10000 1   10     20    2      yes   -
robomimic/transport_g*             1  50   400  201  0.999 -     0.01  -     -    1e-4 1e-4   10   10000 1   5      10    2      yes   -
robomimic/lift_pixel_*             5  50   300  81   0.999 0.99  0.01  0.001 3    5e-5 5e-5   10   500   15  10     100   2      yes   0.1
robomimic/can_pixel_*              5  50   300  151  0.999 0.99  0.01  0.001 3    5e-5 5e-5   10   500   15  10     100   2      yes   0.1
robomimic/square_pixel_*           5  50   400  301  0.999 0.99  0.01  0.001 3    1e-5 1e-5   10   500   20  10     100   2      yes   0.1
robomimic/transport_pixel_mlp      5  50   400  201  0.999 0.99  0.01  0.001 3    1e-5 1e-5   10   500   20  10     100   2      yes   0.1
robomimic/transport_pixel_unet     5  50   400  201  0.999 0.99  0.01  0.001 3    2e-5 2e-5   10   500   20  10     100   2      yes   0.1
robomimic/lift_*                   10 50   300  81   0.999 0.99  0.01  0.001 3    1e-4 1e-4   10   7500  1   10     200   2      yes   0.1
robomimic/can_*                    10 50   300  151  0.999 0.99  0.01  0.001 3    1e-4 1e-4   10   7500  1   10     200   2      yes   0.1
robomimic/square_mlp               10 50   400  201  0.999 0.99  0.01  0.001 3    1e-4 1e-4   0    10000 1   10     200   2      yes   0.1
robomimic/square_unet              10 50   400  201  0.999 0.99  0.01  0.001 3    2e-5 2e-5   0    10000 1   10     200   2      yes   0.1
robomimic/transport_mlp            10 50   400  201  0.999 0.99  0.01  0.001 3    1e-4 1e-4   10   10000 1   5      100   2      yes   0.1
robomimic/transport_unet           10 50   400  201  0.999 0.99  0.01  0.001 3    2e-5 2e-5   10   10000 1   5      100   2      yes   0.1
furniture/paper/one_leg_*_g*       1  1000 88   1000 0.999 -     0.01  -     -    1e-5 -      10   8800  1   5      50    1      yes   -
furniture/paper/*_gaussian_mlp     1  1000 125  1000 0.999 -     0.01  -     -    1e-5 -      10   8800  1   5      70    1      yes   -
furniture/paper/one_leg_low_mlp    5  1000 88   1000 0.999 0.9   0.001 0.001 3    1e-5 1e-6   10   17600 1   5      125   1      yes   0.04
furniture/paper/one_leg_med_mlp    5  1000 88   1000 0.999 0.9   0.001 0.001 3    1e-5 1e-6   10   8800  1   5      250   1      yes   0.04
furniture/paper/*_mlp              5  1000 125  1000 0.999 0.9   0.001 0.001 3    1e-5 1e-6   10   8800  1   5      355   1      yes   0.04
furniture/paper/one_leg_*_unet     5  1000 88   1000 0.999 0.9   0.001 0.001 3    1e-5 1e-6   10   30000 1   5      70    1      yes   0.04
furniture/paper/*_unet             5  1000 125  1000 0.999 0.9   0.001 0.001 3    1e-5 1e-6   10   40000 1   5      75    1      yes   0.04
d3il/*_g*_mlp                      1  50   25   51   0.99  -     0.1   -     -    1e-5 1e-5   10   625   1   10     20    1      yes   -
d3il/*_mlp                         10 50   25   51   0.99  0.95  0.1   0.1   1    1e-5 1e-5   10   6250  1   10     20    1      yes   0.1
"""  # noqa: E501

PARAMETERS = """
file                              actor    critic
gym/*_gaussian                    -        -
gym/*_chunk1                      -        -
gym/hopper                        553020   134913
gym/*                             568392   136449
kitchen/*                         175604   147457
robomimic/*_chunk1                -        -
robomimic/lift_mlp                573516   136961
robomimic/lift_unet               648615   136961
robomimic/can_mlp                 575564   137985
robomimic/can_unet                652455   137985
robomimic/square_mlp              2305212  137985
robomimic/square_unet             1623255  137985
robomimic/transport_mlp           2427088  147201
robomimic/transport_unet          1681694  147201
robomimic/can_pixel_mlp           1064956  586881
robomimic/can_pixel_unet          1203191  586881
robomimic/lift_pixel_mlp          1064956  586881
robomimic/lift_pixel_unet         1203191  586881
robomimic/square_pixel_mlp        1778684  586881
robomimic/square_pixel_unet       2248871  586881
robomimic/transport_pixel_mlp     2048720  657665
robomimic/transport_pixel_unet    2498158  657665
robomimic/lift_gaussian_mlp       549925   136961
robomimic/can_gaussian_mlp        551973   137985
robomimic/square_gaussian_mlp     2152485  137985
robomimic/transport_gaussian_mlp  2275456  147201
robomimic/lift_gmm_mlp            1145526  136961
robomimic/can_gmm_mlp             1149622  137985
robomimic/square_gmm_mlp          4396214  137985
robomimic/transport_gmm_mlp       4900477  147201
robomimic/can_gaussian_t*         674992   137985
robomimic/can_gmm_t*              679661   137985
robomimic/square_gaussian_t*      1862256  137985
robomimic/square_gmm_t*           1869997  137985
robomimic/transport_gaussian_t*   1869790  147201
robomimic/transport_gmm_t*        1885267  147201
robomimic/*                       -        -
furniture/paper/one_leg_*_g*      10638428 556033
furniture/paper/one_leg_*_mlp     6640368  556033
furniture/paper/one_leg_*_unet    6856346  556033
furniture/paper/*_g*              -        548865
furniture/paper/*_mlp             6633200  548865
furniture/paper/*_unet            6806170  548865
d3il/*_gaussian_mlp               134922   133121
d3il/*_gmm_mlp                    145711   133121
d3il/*_mlp                        545336   133121
"""
