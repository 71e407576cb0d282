"""The papers' figures: one block for each printed table, in the table's own order and digits.

``dissertation`` is Bingham's; ``AQuaSurF`` the paper on surrogate modelling (its tables 1 and 2 are the dissertation's
6.1 and 6.2); ``GRAFS`` the paper on search by gradient descent. The marks of significance are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actc.catalogue import Result

MEAN_AND_DEVIATION = "mean ± sample standard deviation"
MEAN_AND_ERROR = "mean ± standard error of the mean"


@dataclass(frozen=True)
class Table:
    """One printed table, or the part of it that shares a setting.

    ``columns`` are (architecture, dataset) pairs; each line of ``figures`` is a name of the library and one figure for
    each column, ``-`` where the table prints none. ``per`` overrides the granularity that the activation's row names.
    """

    numbers: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    figures: str
    metric: str
    statistic: str
    runs: int | None
    unit: str = "%"
    per: str | None = None
    note: str = ""

    def results(self) -> Iterator[tuple[str, Result]]:
        """The name of an activation and one of its figures, line by line.

        Raises ValueError where a line has not one figure for each column.
        """
        for line in self.figures.strip().splitlines():
            name, *printed = line.split()
            for (architecture, dataset), figure in zip(self.columns, printed, strict=True):
                if figure == "-":
                    continue
                yield (
                    name,
                    Result(
                        printed=figure,
                        unit=self.unit,
                        metric=self.metric,
                        architecture=architecture,
                        dataset=dataset,
                        statistic=self.statistic,
                        runs=self.runs,
                        tables=self.numbers,
                        note=self.note,
                    ),
                )


_PANGAEA_COLUMNS = (("WRN-10-4", "CIFAR-100"), ("ResNet-v1-56", "CIFAR-100"), ("ResNet-v2-56", "CIFAR-100"))

_CAFE = (
    Table(
        ("dissertation table 3.1",),
        (("WRN-28-10", "CIFAR-10"), ("WRN-28-10", "CIFAR-100")),
        """
        cafe_loss_1          94.1 73.9
        cafe_loss_2          10.0 01.0
        cafe_loss_3          93.9 74.1
        cafe_accuracy_1      10.0 01.0
        cafe_accuracy_2      93.5 72.5
        cafe_accuracy_3      92.5 72.3
        cafe_random_1        93.8 73.9
        cafe_random_2        93.3 72.1
        cafe_random_3        93.9 73.2
        atan_times_min_zero  94.0 74.5
        tanh_times_min_zero  94.1 74.3
        erf_times_min_zero   94.0 74.2
        relu                 94.0 73.3
        silu                 93.8 71.1
        """,
        metric="test accuracy",
        statistic="median",
        runs=5,
    ),
    *(
        Table(
            ("dissertation table 3.2",),
            (("WRN-28-10", "CIFAR-100"),),
            figures,
            metric="test accuracy",
            statistic="mean ± 95 % confidence interval",
            runs=runs,
            note=note,
        )
        for figures, runs, note in (
            ("atan_times_min_zero 74.2±0.1", 50, ""),
            ("cafe_loss_3 74.0±0.2", 15, ""),
            ("relu 73.2±0.2", 50, ""),
            ("silu 49.6±11.6", 25, "some runs stalled"),
        )
    ),
    Table(
        ("dissertation table 3.3",),
        (("WRN-40-4", "CIFAR-100"),),
        """
        sigmoid_times_erf    72.6
        tanh_times_min_zero  72.1
        silu                 71.1
        relu                 71.0
        """,
        metric="test accuracy",
        statistic="median",
        runs=5,
    ),
)

_PANGAEA = (
    Table(
        ("dissertation table 4.2",),
        _PANGAEA_COLUMNS,
        """
        log_sigmoid_alpha_times_beta_asinh      73.20±0.37   18.63±21.04  45.88±30.70
        log_sigmoid_alpha_times_asinh           73.16±0.41   19.34±20.14  64.30±21.32
        neg_swish_swish_alpha                   72.49±0.55   58.86±2.88   74.71±0.20
        alpha_x_minus_beta_log_sigmoid_gamma    70.28±0.37   71.01±0.64   74.35±0.45
        alpha_x_minus_log_sigmoid_beta          70.47±0.53   70.30±0.58   74.70±0.23
        max_swish_zero                          72.10±0.33   69.43±0.69   74.97±0.25
        softplus_elu                            71.36±0.34   69.96±0.39   75.61±0.42
        min_log_sigmoid_alpha_log_sigmoid_beta  72.04±0.34   69.56±0.48   75.19±0.39
        selu_swish                              01.00±0.00   01.00±0.00   75.02±0.35
        max_swish_alpha_log_sigmoid_relu        72.54±0.26   69.91±0.37   75.20±0.41
        min_swish_alpha_elu_relu_beta           72.39±0.29   69.82±0.40   75.27±0.38
        log_sigmoid                             72.33±0.32   69.58±0.35   75.53±0.37
        relu                                    71.46±0.50   69.64±0.65   74.39±0.44
        elish                                   01.00±0.00   01.00±0.00   75.20±0.31
        elu                                     72.30±0.32   69.67±0.46   74.95±0.30
        gelu_tanh                               71.95±0.35   70.19±0.40   74.86±0.33
        hard_sigmoid                            54.99±1.00   32.55±4.06   64.90±0.69
        leaky_relu                              71.73±0.33   69.78±0.33   74.73±0.35
        mish                                    71.95±0.41   69.88±0.54   75.32±0.29
        selu                                    70.53±0.42   68.52±0.29   73.79±0.36
        sigmoid                                 56.10±0.98   36.47±3.32   66.45±0.92
        softplus                                72.27±0.26   69.71±0.36   75.46±0.52
        softsign                                56.30±2.16   58.38±0.96   69.33±0.39
        silu                                    72.26±0.28   69.68±0.38   75.08±0.36
        tanh                                    56.52±1.53   63.88±0.38   70.44±0.40
        prelu                                   72.23±0.37   69.77±0.40   75.10±0.53
        pswish                                  72.40±0.31   70.16±0.46   75.39±0.28
        apl                                     72.88±0.32   70.81±0.20   75.02±0.28
        pau                                     41.46±22.66  01.00±0.00   02.38±4.36
        splash                                  72.16±0.81   01.00±0.00   73.45±0.43
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=10,
    ),
    Table(
        ("dissertation table 4.3",),
        (("WRN-10-4", "CIFAR-100"),),
        """
        log_sigmoid_alpha_times_beta_asinh               73.20±0.37
        log_sigmoid_alpha_times_asinh                    73.16±0.41
        neg_swish_swish_alpha                            72.49±0.55
        alpha_swish                                      72.85±0.25
        softplus_times_atan_alpha                        72.81±0.35
        relu_alpha_asinh_beta_sigmoid_times_selu_gamma   72.69±0.21
        cosh_one_times_swish                             72.78±0.24
        expm1_one_times_swish                            72.52±0.34
        relu_swish                                       72.04±0.54
        relu                                             71.46±0.50
        silu                                             72.26±0.28
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=10,
    ),
    Table(
        ("dissertation table 4.4",),
        _PANGAEA_COLUMNS,
        """
        log_sigmoid_alpha_times_beta_asinh      73.20±0.37  -           -
        log_sigmoid_alpha_times_asinh           73.16±0.41  -           -
        log_sigmoid_times_asinh                 72.51±0.30  -           -
        neg_swish_swish_alpha                   72.49±0.55  -           -
        neg_swish_swish                         71.97±0.22  -           -
        alpha_x_minus_beta_log_sigmoid_gamma    -           71.01±0.64  -
        alpha_x_minus_log_sigmoid_beta          -           70.30±0.58  -
        x_minus_log_sigmoid                     -           69.29±0.45  -
        min_log_sigmoid_alpha_log_sigmoid_beta  -           -           75.19±0.39
        log_sigmoid                             -           -           75.53±0.37
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=10,
    ),
    Table(
        ("dissertation table 4.5",),
        _PANGAEA_COLUMNS,
        """
        log_sigmoid_alpha_times_beta_asinh    73.20±0.37  -            -
        alpha_x_minus_beta_log_sigmoid_gamma  -           71.01±0.64   -
        softplus_elu                          -           -            75.61±0.42
        alpha_relu_beta                       71.96±0.31  68.93±0.22   73.52±0.37
        alpha_elish_beta                      01.00±0.00  01.00±0.00   73.94±0.33
        alpha_elu_beta                        71.98±0.24  69.06±0.37   73.97±0.45
        alpha_gelu_beta                       71.96±0.34  69.39±0.35   73.83±0.24
        alpha_hard_sigmoid_beta               66.70±0.64  34.33±6.53   65.10±0.40
        alpha_leaky_relu_beta                 71.74±0.39  69.11±0.47   73.44±0.29
        alpha_mish_beta                       72.11±0.31  69.51±0.67   73.72±0.32
        alpha_selu_beta                       71.07±0.33  68.05±0.39   73.37±0.38
        alpha_sigmoid_beta                    66.98±0.66  44.40±2.62   66.98±0.85
        alpha_softplus_beta                   71.73±0.31  68.84±0.30   73.95±0.37
        alpha_softsign_beta                   62.12±0.83  09.18±13.75  68.87±0.38
        alpha_swish_beta                      72.26±0.29  69.25±0.28   73.93±0.22
        alpha_tanh_beta                       63.55±0.56  02.92±6.07   69.55±0.62
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=10,
    ),
    Table(
        ("dissertation table 4.6",),
        (("WRN-16-8", "CIFAR-100"), ("ResNet-v1-110", "CIFAR-100"), ("ResNet-v2-110", "CIFAR-100")),
        """
        log_sigmoid_alpha_times_beta_asinh      78.36±0.17  -           -
        log_sigmoid_alpha_times_asinh           78.34±0.20  -           -
        neg_swish_swish_alpha                   78.00±0.35  -           -
        relu                                    78.15±0.03  71.23±0.25  76.34±0.11
        alpha_x_minus_beta_log_sigmoid_gamma    -           70.85±0.50  -
        alpha_x_minus_log_sigmoid_beta          -           70.34±0.60  -
        max_swish_zero                          -           70.36±0.56  -
        softplus_elu                            -           -           77.14±0.38
        min_log_sigmoid_alpha_log_sigmoid_beta  -           -           76.93±0.19
        selu_swish                              -           -           76.96±0.14
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=3,
    ),
    Table(
        ("dissertation table 4.7",),
        (("All-CNN-C", "CIFAR-10"),),
        """
        alpha_relu_beta_abs_relu_gamma  92.77±0.13
        alpha_swish_times_cosh_beta     92.66±0.08
        alpha_swish_beta                76.15±34.86
        relu                            88.47±0.14
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=10,
    ),
    Table(
        ("dissertation table 4.8",),
        (("ResNet-v1-56", "CIFAR-100"),),
        """
        max_swish_x                               71.00±0.28
        max_x_alpha_log_sigmoid_selu              70.76±0.29
        max_alpha_max_and_max_relu_asinh          70.63±0.35
        alpha_x_minus_beta_log_sigmoid_gamma      71.01±0.64
        alpha_x_minus_log_sigmoid_beta            70.30±0.58
        max_swish_zero                            69.43±0.69
        max_min_alpha_x_elu_zero                  70.53±0.31
        alpha_max_beta_relu_swish_over_gamma_x    70.52±0.39
        max_relu_swish_alpha_beta_x               70.44±0.44
        max_swish_alpha_x                         71.03±0.40
        max_swish_asinh_alpha_beta                70.52±0.35
        max_swish_asinh_alpha                     70.41±0.38
        alpha_max_beta_swish_gamma_swish          71.25±0.35
        alpha_x_minus_beta_swish_gamma            71.23±0.18
        elu_elu_alpha_plus_log_sigmoid_zero       71.20±0.25
        relu                                      69.64±0.65
        """,
        metric="test accuracy",
        statistic=MEAN_AND_DEVIATION,
        runs=3,
    ),
    Table(
        ("dissertation table 4.8",),
        (("ResNet-v1-56", "CIFAR-100"),),
        """
        max_alpha_swish_beta_softplus   70.32
        alpha_square                    70.91
        bessel_i0e_abs_plus_alpha_abs   71.66
        """,
        metric="test accuracy",
        statistic="single run",
        runs=1,
        note="best of 500 random functions",
    ),
    *(
        Table(
            ("dissertation table 4.9",),
            _PANGAEA_COLUMNS,
            figures,
            metric="test accuracy",
            statistic=MEAN_AND_DEVIATION,
            runs=10,
            per=per,
        )
        for per, figures in (
            ("layer", "prelu 71.92±0.41 71.40±0.59 73.54±0.21"),
            ("channel", "prelu 71.15±0.41 71.25±0.54 74.52±0.24"),
            ("neuron", "prelu 72.23±0.37 69.77±0.40 75.10±0.53"),
        )
    ),
    *(
        Table(
            ("dissertation table 4.10",),
            (column,),
            figures,
            metric="test accuracy",
            statistic=MEAN_AND_DEVIATION,
            runs=runs,
            note=f"specialized training setup of §4.6; {10 - runs} of 10 runs failed and are left out",
        )
        for column, figures, runs in (
            (("WRN-10-4", "CIFAR-100"), "pau 62.56±4.84", 7),
            (("ResNet-v2-56", "CIFAR-100"), "pau 69.59±1.66", 3),
        )
    ),
)

_AQUASURF = (
    Table(
        ("AQuaSurF table 1", "dissertation table 6.1"),
        (("All-CNN-C", "CIFAR-100"),),
        """
        hard_sigmoid_hard_sigmoid_times_elu  0.6990
        sigmoid_softsign_times_elu           0.6950
        swish_over_selu_one                  0.6931
        elu                                  0.6312
        relu                                 0.6897
        selu                                 0.0100
        sigmoid                              0.0100
        softplus                             0.6563
        softsign                             0.2570
        silu                                 0.6913
        tanh                                 0.3757
        """,
        metric="test accuracy",
        statistic="median",
        runs=3,
        unit="fraction",
    ),
    Table(
        ("AQuaSurF table 1", "dissertation table 6.1"),
        (("ResNet-56", "CIFAR-100"),),
        """
        swish_neg_two_x       0.7469
        selu_sinh_expm1_atan  0.7458
        x_times_erfc_elu      0.7419
        elu                   0.7411
        relu                  0.7348
        selu                  0.6967
        sigmoid               0.5766
        softplus              0.7397
        softsign              0.6624
        silu                  0.7401
        tanh                  0.6754
        """,
        metric="test accuracy",
        statistic="median",
        runs=3,
        unit="fraction",
    ),
    Table(
        ("AQuaSurF table 1", "dissertation table 6.1"),
        (("MobileViTv2-0.5", "ImageNet"),),
        """
        neg_x_times_sigmoid_times_hard_sigmoid  0.6396
        elu_swish_neg                           0.6394
        swish_times_erfc_bessel_i0e             0.6336
        elu                                     0.6233
        relu                                    0.6139
        selu                                    0.6096
        sigmoid                                 0.5032
        softplus                                0.5853
        softsign                                0.5710
        silu                                    0.6383
        tanh                                    0.6098
        """,
        metric="validation accuracy",
        statistic="single run",
        runs=1,
        unit="fraction",
    ),
    Table(
        ("AQuaSurF table 2", "dissertation table 6.2"),
        (("ResNet-50", "ImageNet"),),
        """
        neg_x_times_sigmoid_times_hard_sigmoid  0.7776
        swish_over_selu_one                     0.7771
        swish_times_erfc_bessel_i0e             0.7755
        sigmoid_softsign_times_elu              0.7734
        selu_sinh_expm1_atan                    0.7719
        hard_sigmoid_hard_sigmoid_times_elu     0.7718
        elu_swish_neg                           0.7679
        swish_neg_two_x                         0.7664
        x_times_erfc_elu                        0.7635
        relu                                    0.7660
        """,
        metric="top-1 accuracy",
        statistic="median",
        runs=3,
        unit="fraction",
    ),
    Table(
        ("AQuaSurF table 3",),
        (("CoAtNet", "Imagenette"),),
        """
        erfc_softplus_squared       0.8907
        min_softplus_squared_neg_x  0.8861
        asinh_elu_swish             0.8828
        elish                       0.1000
        elu                         0.8629
        gelu                        0.8841
        hard_sigmoid                0.8487
        leaky_relu                  0.8815
        mish                        0.8762
        relu                        0.8772
        selu                        0.8194
        sigmoid                     0.8586
        softplus                    0.8678
        softsign                    0.8530
        silu                        0.8736
        tanh                        0.8415
        """,
        metric="validation accuracy",
        statistic="not stated",
        runs=None,
        unit="fraction",
    ),
)

_GRAFS = (
    Table(
        ("GRAFS table 1",),
        (
            ("ResNet20", "CIFAR-10"),
            ("ResNet20", "CIFAR-100"),
            ("ResNet20", "SVHN Core"),
            ("ResNet32", "CIFAR-10"),
            ("ResNet32", "CIFAR-100"),
            ("ResNet32", "SVHN Core"),
        ),
        """
        grafs_resnet_1  91.87±0.09    66.744±0.157  95.797±0.031  92.454±0.271  68.256±0.273  96.073±0.019
        grafs_resnet_2  92.07±0.109   66.946±0.079  95.751±0.038  92.708±0.109  68.578±0.2    96.13±0.047
        grafs_resnet_3  91.838±0.062  67.04±0.166   95.87±0.057   92.776±0.087  68.084±0.285  96.213±0.073
        grafs_resnet_4  92.148±0.1    66.916±0.198  95.788±0.04   92.864±0.091  68.56±0.234   96.098±0.061
        grafs_resnet_5  92.008±0.043  66.566±0.122  95.76±0.046   92.684±0.039  68.636±0.088  96.142±0.027
        silu            91.902±0.1    66.86±0.091   95.658±0.069  92.848±0.077  68.528±0.227  95.953±0.043
        gelu            92.034±0.114  67.228±0.094  95.828±0.06   92.544±0.061  68.474±0.181  95.998±0.032
        elu             91.708±0.06   67.42±0.139   95.393±0.026  92.23±0.139   68.32±0.183   95.586±0.057
        leaky_relu      91.656±0.022  67.268±0.217  95.681±0.047  92.278±0.097  68.276±0.15   96.12±0.041
        relu            91.81±0.063   66.862±0.201  95.763±0.059  92.494±0.155  68.212±0.307  96.079±0.048
        """,
        metric="test accuracy",
        statistic=MEAN_AND_ERROR,
        runs=5,
    ),
    Table(
        ("GRAFS table 4",),
        (
            ("ViT-tiny", "CIFAR-10"),
            ("ViT-tiny", "CIFAR-100"),
            ("ViT-tiny", "SVHN Core"),
            ("ViT-small", "CIFAR-10"),
            ("ViT-small", "CIFAR-100"),
            ("ViT-small", "SVHN Core"),
        ),
        """
        grafs_vit_1  91.634±0.188  69.94±0.365   96.6±0.02     94.06±0.113   72.636±0.255  97.163±0.036
        grafs_vit_2  92.148±0.067  70.462±0.274  96.717±0.026  94.046±0.076  73.114±0.289  97.141±0.041
        grafs_vit_3  92.044±0.135  70.074±0.306  96.61±0.053   93.912±0.16   72.802±0.222  97.16±0.042
        grafs_vit_4  92.122±0.135  70.142±0.138  96.737±0.026  93.91±0.051   72.688±0.253  97.19±0.023
        grafs_vit_5  92.228±0.195  70.232±0.2    96.766±0.017  93.764±0.104  73.218±0.173  97.138±0.023
        silu         91.482±0.214  68.802±0.4    96.457±0.062  93.412±0.064  70.838±0.439  97.078±0.046
        gelu         91.474±0.115  68.374±0.24   96.395±0.055  93.282±0.061  71.456±0.144  97.018±0.04
        elu          90.888±0.122  67.752±0.298  96.365±0.046  92.076±0.132  67.462±0.422  96.706±0.033
        leaky_relu   90.834±0.136  68.148±0.246  96.484±0.048  92.906±0.087  70.77±0.248   96.941±0.062
        relu         91.05±0.18    68.07±0.102   96.477±0.024  92.794±0.068  70.282±0.156  96.971±0.046
        """,
        metric="test accuracy",
        statistic=MEAN_AND_ERROR,
        runs=5,
    ),
    Table(
        ("GRAFS table 5",),
        (("ViT-Ti", "CIFAR-10"), ("ViT-S", "CIFAR-10")),
        """
        grafs_vit_1  92.736±0.107  94.264±0.066
        grafs_vit_2  92.72±0.103   94.162±0.087
        grafs_vit_3  92.938±0.122  94.292±0.109
        grafs_vit_4  92.81±0.081   94.28±0.058
        grafs_vit_5  93.146±0.186  94.336±0.069
        silu         88.548±0.083  93.056±0.206
        gelu         91.378±0.089  94.098±0.122
        elu          82.878±0.253  88.544±0.246
        leaky_relu   91.766±0.217  93.886±0.11
        relu         91.666±0.139  93.85±0.136
        """,
        metric="test accuracy",
        statistic=MEAN_AND_ERROR,
        runs=5,
        note="timm's training pipeline",
    ),
    Table(
        ("GRAFS table 6",),
        (("miniGPT", "TinyStories"), ("tinyGPT", "TinyStories"), ("smallGPT", "TinyStories")),
        """
        grafs_gpt_1  1.933±0.002  1.496±0.002  1.321±0.003
        grafs_gpt_2  1.933±0.001  1.495±0.002  1.322±0.002
        grafs_gpt_3  1.921±0.002  1.487±0.002  1.317±0.002
        grafs_gpt_4  1.934±0.003  1.495±0.002  1.323±0.002
        grafs_gpt_5  1.933±0.002  1.496±0.002  1.323±0.003
        gelu         1.943±0.004  1.499±0.002  1.325±0.003
        """,
        metric="test loss",
        statistic=MEAN_AND_ERROR,
        runs=5,
        unit="loss",
    ),
)

TABLES: tuple[Table, ...] = (*_CAFE, *_PANGAEA, *_AQUASURF, *_GRAFS)
